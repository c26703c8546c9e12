//! `heliosdb start`: open, bind, serve, drain.

use crate::banner::Banner;
use crate::config::{Config, Loaded};
use crate::front_end::{FrontEnds, Wiring};
use crate::metrics::Surroundings;
use helios_engine::{Engine, EngineOptions, Protocol, SessionOptions};
use helios_net::{Alarm, DRAIN_DEADLINE, Shutdown, Workers};
use helios_types::value::Rows;
use helios_types::{Result, error};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tracing::{info, warn};

/// Statements are cancelled so long before the connections are cut.
const LAST_CALL: Duration = Duration::from_millis(500);

/// Serves until a signal asks to stop.
pub fn run(loaded: &Loaded, ports_file: Option<&Path>) -> Result<ExitCode> {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let threads = loaded.config.performance.worker_threads.clamp(1, cores);
    let runtimes = (0..threads)
        .map(|_| runtime())
        .collect::<Result<Vec<Runtime>>>()?;
    let workers = Workers::new(runtimes.iter().map(|runtime| runtime.handle().clone()));
    let result = runtimes[0].block_on(serve(loaded, ports_file, &workers));
    // A statement that does not look up is left to itself: everything acknowledged is on the disk.
    for runtime in runtimes {
        runtime.shutdown_timeout(Duration::from_millis(500));
    }
    result
}

/// A runtime of one thread. (One of the "current thread" kind could not give long work away.)
fn runtime() -> Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("helios-worker")
        .enable_all()
        .build()
        .map_err(|e| error!(Io, "could not start the runtime: {e}"))
}

async fn serve(loaded: &Loaded, ports_file: Option<&Path>, workers: &Workers) -> Result<ExitCode> {
    let config = &loaded.config;
    // Before anything is open, so that no signal can meet the default action.
    let mut signals = Signals::new()?;
    let data_dir = DataDir::new(config)?;
    let engine = Engine::open(EngineOptions {
        data_dir: data_dir.path.clone(),
        cache_bytes: usize::try_from(config.storage.cache_size).unwrap_or(usize::MAX),
        ..EngineOptions::default()
    })?;
    let result = serve_engine(
        loaded,
        ports_file,
        &engine,
        &data_dir,
        workers,
        &mut signals,
    )
    .await;
    let closed = engine.shutdown();
    if let Err(e) = &closed {
        tracing::error!(
            error = crate::one_line(e),
            "could not close the data directory"
        );
    }
    let code = result?;
    closed?;
    info!("stopped");
    Ok(code)
}

async fn serve_engine(
    loaded: &Loaded,
    ports_file: Option<&Path>,
    engine: &Arc<Engine>,
    data_dir: &DataDir,
    workers: &Workers,
    signals: &mut Signals,
) -> Result<ExitCode> {
    let config = &loaded.config;
    set_password(engine).await?;
    let api_key = std::env::var("HELIOSDB_API_KEY")
        .ok()
        .filter(|key| !key.is_empty());
    let has_credentials = engine.has_credentials() || api_key.is_some();
    let address = listen_address(loaded, has_credentials)?;
    let loopback_only = address.is_loopback();
    let surroundings = Arc::new(Surroundings {
        engine: engine.clone(),
        loopback_only,
        listeners: Default::default(),
    });
    let shutdown = Shutdown::new();
    let wiring = Wiring {
        engine,
        config,
        address,
        loopback_only,
        api_key,
        shutdown: &shutdown,
        surroundings: &surroundings,
        workers,
    };
    let mut front_ends = FrontEnds::bind(&wiring).await?;
    let mut serving = JoinSet::new();
    tokio::spawn(workers.clone().balance(shutdown.clone()));
    for future in std::mem::take(&mut front_ends.serving) {
        serving.spawn(future);
    }
    if let Some(path) = ports_file {
        write_ports(path, &front_ends.addresses)?;
    }
    let banner = Banner {
        listeners: &front_ends.addresses,
        data_dir: &data_dir.path.display().to_string(),
        user: engine.superuser(),
        database: engine.default_database(),
        open_on_loopback: !has_credentials,
        tls: config.tls.enabled,
    };
    // Nobody need be reading it.
    let _ = write!(std::io::stdout(), "{banner}");
    info!(data_dir = %data_dir.path.display(), "ready");
    let name = signals.next().await;
    info!(
        signal = name,
        "stopping: no new connections, running requests may finish"
    );
    shutdown.trigger();
    // What still runs shortly before the connections are cut gets to say goodbye.
    let statements = engine.clone();
    let last_call = Alarm::set(DRAIN_DEADLINE - LAST_CALL, move || cancel_all(&statements));
    tokio::select! {
        () = async { while serving.join_next().await.is_some() {} } => {}
        name = signals.next() => warn!(signal = name, "stopping at once"),
    }
    drop(last_call);
    cancel_all(engine);
    front_ends.close();
    Ok(ExitCode::SUCCESS)
}

fn cancel_all(engine: &Engine) {
    for session in engine.sessions() {
        engine.cancel_session(session.pid);
    }
}

/// Where to listen: loopback while nothing protects the data.
fn listen_address(loaded: &Loaded, has_credentials: bool) -> Result<IpAddr> {
    let address = loaded.config.server.listen_addr;
    if has_credentials || address.is_loopback() {
        return Ok(address);
    }
    match loaded.origins.get("server.listen_addr") {
        None => Ok(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        Some(origin) => Err(error!(
            ConfigFile,
            "will not listen on {address} ({origin}) while no password and no API key exist"
        )
        .with_hint("set HELIOSDB_PASSWORD or HELIOSDB_API_KEY, or set a password with ALTER ROLE on loopback first")),
    }
}

/// `HELIOSDB_PASSWORD` is the owner's first password; one that was set since stays.
async fn set_password(engine: &Arc<Engine>) -> Result<()> {
    let Ok(password) = std::env::var("HELIOSDB_PASSWORD") else {
        return Ok(());
    };
    if password.is_empty() || engine.password_verifier(engine.superuser()).is_some() {
        return Ok(());
    }
    let role = engine.superuser().to_owned();
    let mut session = engine.session(SessionOptions::new(
        Protocol::Internal,
        role.clone(),
        engine.default_database(),
    ))?;
    let quoted = password.replace('\'', "''");
    let sql = format!("ALTER ROLE \"{role}\" PASSWORD '{quoted}'");
    session.run(&sql, &[], &mut Rows::default()).await?;
    Ok(())
}

/// The bound ports as JSON: protocol name to port. Written whole or not at all, so that whoever
/// waits for the file never reads half of it.
fn write_ports(path: &Path, addresses: &[(&'static str, SocketAddr)]) -> Result<()> {
    let ports: serde_json::Map<String, serde_json::Value> = addresses
        .iter()
        .map(|(name, address)| ((*name).to_owned(), address.port().into()))
        .collect();
    let temporary = path.with_extension("tmp");
    let text = serde_json::Value::Object(ports).to_string();
    std::fs::write(&temporary, text)
        .and_then(|()| std::fs::rename(&temporary, path))
        .map_err(|e| error!(Io, "could not write ports file \"{}\": {e}", path.display()))
}

/// The data directory; one of its own, removed at the end, for `storage.in_memory`.
struct DataDir {
    path: PathBuf,
    temporary: bool,
}

impl DataDir {
    fn new(config: &Config) -> Result<Self> {
        if !config.storage.in_memory {
            return Ok(Self {
                path: config.storage.path.clone(),
                temporary: false,
            });
        }
        // Memory where the system has a file system in memory.
        let shared_memory = Path::new("/dev/shm");
        let parent = if shared_memory.is_dir() {
            shared_memory.to_owned()
        } else {
            std::env::temp_dir()
        };
        Ok(Self {
            path: parent.join(format!("heliosdb-{}", std::process::id())),
            temporary: true,
        })
    }
}

impl Drop for DataDir {
    fn drop(&mut self) {
        if self.temporary
            && let Err(e) = std::fs::remove_dir_all(&self.path)
        {
            warn!(error = %e, path = %self.path.display(), "could not remove the temporary data");
        }
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self> {
        let listen = |kind| signal(kind).map_err(|e| error!(Io, "could not wait for signals: {e}"));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
