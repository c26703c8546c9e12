//! Serves a data directory on one port: `serve DIR PORT`.

use helios_engine::{Engine, EngineOptions};
use helios_net::{Limits, Shutdown, TlsMode};

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let data_dir = args.next().expect("a directory").into();
    let port: u16 = args.next().and_then(|p| p.parse().ok()).expect("a port");
    let engine = Engine::open(EngineOptions {
        data_dir,
        ..EngineOptions::default()
    })
    .expect("opens");
    let address = ([127, 0, 0, 1], port).into();
    let listener =
        helios_net::bind("pg", address, Limits::connections(100), TlsMode::Off).expect("binds");
    println!("{}", listener.address());
    helios_postgres::serve(listener, engine, Default::default(), Shutdown::new()).await;
}
