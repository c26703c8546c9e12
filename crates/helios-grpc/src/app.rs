//! The gRPC listener: sessions, credentials, and the services behind one HTTP/2 connection.

use crate::direct::Calls;
use crate::error::status;
use crate::proto::DESCRIPTORS;
use crate::proto::helios_db_server::HeliosDbServer;
use crate::service::HeliosService;
use helios_engine::{Engine, Protocol, Session, SessionPool};
use helios_net::http::{HttpLimits, serve_connection};
use helios_net::lease::Leases;
use helios_net::{Connection, Handler, bearer};
use helios_types::Error;
use std::io;
use std::sync::Arc;
use tonic::Status;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;

/// Transactions that clients hold open at once.
const TRANSACTIONS_MAX: usize = 10_000;

#[derive(Clone, Debug)]
pub struct GrpcConfig {
    /// Largest request message, in bytes.
    pub message_bytes_max: usize,
    /// API key of the owner, from the environment.
    pub api_key: Option<String>,
    /// Whether only this machine can connect, so that a daemon without credentials trusts its
    /// clients.
    pub loopback_only: bool,
}

pub struct App {
    pub engine: Arc<Engine>,
    pub config: GrpcConfig,
    pub transactions: Leases<Session>,
    pub sessions: SessionPool,
}

impl App {
    pub fn new(engine: Arc<Engine>, config: GrpcConfig) -> Arc<Self> {
        Arc::new(Self {
            sessions: SessionPool::new(engine.clone(), Protocol::Grpc),
            engine,
            config,
            transactions: Leases::new(TRANSACTIONS_MAX),
        })
    }

    /// The role that a call acts as.
    pub fn authenticate(&self, metadata: &MetadataMap) -> Result<String, Status> {
        let configured = self.config.api_key.as_deref();
        if configured.is_none() && !self.engine.has_credentials() && self.config.loopback_only {
            return Ok(self.engine.superuser().to_owned());
        }
        match bearer::presented(metadata.as_ref()).map_err(|e| status(&e))? {
            Some(key) if configured.is_some_and(|expected| bearer::matches(key, expected)) => {
                Ok(self.engine.superuser().to_owned())
            }
            Some(_) => Err(status(&bearer::invalid())),
            None => Err(status(&bearer::missing())),
        }
    }

    /// A session of the role in the database that the call names, from the pool.
    pub fn pooled_session(&self, user: &str, metadata: &MetadataMap) -> Result<Session, Status> {
        let database = self.database(metadata)?;
        let session = self.sessions.take(user, database, None);
        session.map_err(|e| status(&e))
    }

    /// The same, of its own.
    pub fn session(&self, user: &str, metadata: &MetadataMap) -> Result<Session, Status> {
        let database = self.database(metadata)?;
        let session = self.sessions.fresh(user, database, None);
        session.map_err(|e| status(&e))
    }

    fn database<'a>(&'a self, metadata: &'a MetadataMap) -> Result<&'a str, Status> {
        match metadata.get("x-helios-database").map(|v| v.to_str()) {
            None => Ok(self.engine.default_database()),
            Some(Ok(name)) => Ok(name),
            Some(Err(_)) => Err(Status::invalid_argument(
                "metadata \"x-helios-database\" is not readable",
            )),
        }
    }

    /// Rolls back what is open, for shutdown.
    pub fn close(&self) {
        self.transactions.clear();
        self.sessions.clear();
    }
}

/// Serves the connections of the gRPC listener.
pub struct GrpcHandler {
    calls: Calls,
    limits: HttpLimits,
}

impl GrpcHandler {
    pub async fn new(app: Arc<App>) -> helios_types::Result<Self> {
        let most = app.config.message_bytes_max;
        let calls = Arc::new(HeliosService { app });
        let service = HeliosDbServer::from_arc(calls.clone()).max_decoding_message_size(most);
        let (health, health_service) = tonic_health::server::health_reporter();
        health.set_serving::<HeliosDbServer<HeliosService>>().await;
        let reflection = || {
            tonic_reflection::server::Builder::configure()
                .register_encoded_file_descriptor_set(DESCRIPTORS)
                .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        };
        let routes = Routes::new(service)
            .add_service(health_service)
            .add_service(reflection().build_v1().map_err(Error::internal)?)
            .add_service(reflection().build_v1alpha().map_err(Error::internal)?);
        Ok(Self {
            calls: Calls::new(calls, routes, most),
            limits: HttpLimits::default(),
        })
    }
}

impl Handler for GrpcHandler {
    async fn handle(self: Arc<Self>, connection: Connection) -> io::Result<()> {
        serve_connection(connection, &self.limits, self.calls.clone()).await
    }

    fn drains_itself(&self) -> bool {
        true
    }
}
