//! How each protocol is given its listener.

use crate::config::{self, AuthMode, Config, Policy, Port};
use crate::metrics::Surroundings;
use helios_engine::Engine;
use helios_http::{Dialect, HttpConfig, HttpHandler};
use helios_net::http::HttpLimits;
use helios_net::{
    ClientAuth, Limits, Listener, Shutdown, TlsFiles, TlsMode, Workers, bind, server_config,
};
use helios_types::Result;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Listeners that are bound and what will serve them.
pub struct FrontEnds {
    /// Protocol name and bound address.
    pub addresses: Vec<(&'static str, SocketAddr)>,
    pub serving: Vec<Serving>,
    /// Rolls back what clients left open across requests.
    close: Vec<Box<dyn FnOnce() + Send>>,
}

pub struct Wiring<'a> {
    pub engine: &'a Arc<Engine>,
    pub config: &'a Config,
    pub address: IpAddr,
    pub loopback_only: bool,
    pub api_key: Option<String>,
    pub shutdown: &'a Shutdown,
    pub surroundings: &'a Arc<Surroundings>,
    pub workers: &'a Workers,
}

impl FrontEnds {
    /// Binds every listener that is not off, so that a port in use is known before any serves.
    pub async fn bind(wiring: &Wiring<'_>) -> Result<Self> {
        let mut front_ends = Self {
            addresses: Vec::new(),
            serving: Vec::new(),
            close: Vec::new(),
        };
        let wire = Limits::connections(wiring.config.server.max_connections);
        let mut web = Limits::connections(wiring.config.http.max_connections);
        // HTTP times its own requests; before the first one a short time must do.
        web.handshake_timeout = Some(Duration::from_secs(30));
        let ports = &wiring.config.ports;
        if let Some(listener) = front_ends.listener(
            wiring,
            "pg",
            wiring.config.server.port,
            &wire,
            in_band_tls(wiring)?,
        )? {
            front_ends.postgres(wiring, listener)?;
        }
        if let Some(listener) = front_ends.listener(
            wiring,
            "redis",
            ports.redis,
            &wire,
            immediate_tls(wiring, &[])?,
        )? {
            front_ends.redis(wiring, listener);
        }
        if let Some(listener) = front_ends.listener(
            wiring,
            "mongo",
            ports.mongo,
            &wire,
            immediate_tls(wiring, &[])?,
        )? {
            front_ends.mongo(wiring, listener);
        }
        if let Some(listener) = front_ends.listener(
            wiring,
            "http",
            ports.http,
            &web,
            immediate_tls(wiring, &[b"h2", b"http/1.1"])?,
        )? {
            front_ends.http(wiring, listener, Dialect::V7);
        }
        if let Some(listener) = front_ends.listener(
            wiring,
            "grpc",
            ports.grpc,
            &web,
            immediate_tls(wiring, &[b"h2"])?,
        )? {
            front_ends.grpc(wiring, listener).await?;
        }
        Ok(front_ends)
    }

    fn listener(
        &mut self,
        wiring: &Wiring<'_>,
        name: &'static str,
        port: Port,
        limits: &Limits,
        tls: TlsMode,
    ) -> Result<Option<Listener>> {
        let Some(port) = port.number() else {
            return Ok(None);
        };
        let mut listener = bind(
            name,
            SocketAddr::new(wiring.address, port),
            limits.clone(),
            tls,
        )?;
        listener.workers = Some(wiring.workers.clone());
        self.addresses.push((name, listener.address()));
        let mut listeners = wiring
            .surroundings
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        listeners.push((name, listener.counters.clone()));
        Ok(Some(listener))
    }

    fn postgres(&mut self, wiring: &Wiring<'_>, listener: Listener) -> Result<()> {
        let certificate_pem = match wiring.config.tls.enabled {
            true => Some(std::fs::read(&wiring.config.tls.cert_file).map_err(|e| {
                helios_types::error!(
                    ConfigFile,
                    "could not read \"{}\": {e}",
                    wiring.config.tls.cert_file.display()
                )
            })?),
            false => None,
        };
        let config = helios_postgres::Config {
            certificate_pem,
            ..helios_postgres::Config::default()
        };
        let (engine, shutdown) = (wiring.engine.clone(), wiring.shutdown.clone());
        self.serving.push(Box::pin(helios_postgres::serve(
            listener, engine, config, shutdown,
        )));
        Ok(())
    }

    fn redis(&mut self, wiring: &Wiring<'_>, listener: Listener) {
        let port = listener.address().port();
        let handler = helios_redis::Port::new(wiring.engine.clone(), port);
        self.serving.push(Box::pin(helios_net::serve(
            listener,
            handler,
            wiring.shutdown.clone(),
        )));
    }

    fn mongo(&mut self, wiring: &Wiring<'_>, listener: Listener) {
        let config = helios_mongo::Config::default();
        let (engine, shutdown) = (wiring.engine.clone(), wiring.shutdown.clone());
        self.serving.push(Box::pin(helios_mongo::serve(
            listener, engine, config, shutdown,
        )));
    }

    fn http(&mut self, wiring: &Wiring<'_>, listener: Listener, default_dialect: Dialect) {
        let http = &wiring.config.http;
        let config = HttpConfig {
            public_domain: http.public_domain.clone(),
            body_bytes_max: http.max_body_size,
            v7_sql_bytes_max: http.max_query_size,
            v7_rows_max: http.max_result_rows,
            connections_max: http.max_connections,
            required: required_dialects(&wiring.config.auth),
            api_key: wiring.api_key.clone(),
        };
        let app = helios_http::App::new(wiring.engine.clone(), config, wiring.surroundings.clone());
        let closing = app.clone();
        self.close.push(Box::new(move || closing.close()));
        let handler = HttpHandler {
            app,
            default_dialect,
            limits: HttpLimits::default(),
        };
        self.serving.push(Box::pin(helios_net::serve(
            listener,
            Arc::new(handler),
            wiring.shutdown.clone(),
        )));
    }

    async fn grpc(&mut self, wiring: &Wiring<'_>, listener: Listener) -> Result<()> {
        let config = helios_grpc::GrpcConfig {
            message_bytes_max: wiring.config.http.max_body_size,
            api_key: wiring.api_key.clone(),
            loopback_only: wiring.loopback_only,
        };
        let app = helios_grpc::App::new(wiring.engine.clone(), config);
        let closing = app.clone();
        self.close.push(Box::new(move || closing.close()));
        let handler = helios_grpc::GrpcHandler::new(app).await?;
        self.serving.push(Box::pin(helios_net::serve(
            listener,
            Arc::new(handler),
            wiring.shutdown.clone(),
        )));
        Ok(())
    }

    /// Ends what clients hold open across requests; nothing is served any more.
    pub fn close(self) {
        for close in self.close {
            close();
        }
    }
}

fn required_dialects(auth: &config::Auth) -> Vec<Dialect> {
    let d = &auth.dialects;
    [
        (Dialect::V7, d.v7),
        (Dialect::Cloud, d.cloud),
        (Dialect::Nano, d.nano),
        (Dialect::Postgrest, d.postgrest),
        (Dialect::Branch, d.branch),
    ]
    .into_iter()
    .filter(|(_, policy)| auth.mode == AuthMode::Required || *policy == Policy::Required)
    .map(|(dialect, _)| dialect)
    .collect()
}

fn acceptor(wiring: &Wiring<'_>, protocols: &[&[u8]]) -> Result<Option<TlsAcceptor>> {
    let tls = &wiring.config.tls;
    if !tls.enabled {
        return Ok(None);
    }
    let files = TlsFiles {
        certificate: tls.cert_file.clone(),
        key: tls.key_file.clone(),
        client_auth: match tls.client_auth {
            config::ClientAuth::None => ClientAuth::None,
            config::ClientAuth::Optional => ClientAuth::Optional,
            config::ClientAuth::Require => ClientAuth::Require,
        },
        client_authorities: Some(tls.client_ca_file.clone()),
    };
    Ok(Some(TlsAcceptor::from(server_config(&files, protocols)?)))
}

fn immediate_tls(wiring: &Wiring<'_>, protocols: &[&[u8]]) -> Result<TlsMode> {
    Ok(acceptor(wiring, protocols)?.map_or(TlsMode::Off, TlsMode::Immediate))
}

/// PostgreSQL agrees on TLS after the first message; its ALPN name is registered.
fn in_band_tls(wiring: &Wiring<'_>) -> Result<TlsMode> {
    Ok(acceptor(wiring, &[b"postgresql"])?.map_or(TlsMode::Off, TlsMode::InBand))
}
