//! Who a request acts as.
//!
//! While the daemon has no credential of any kind it listens on loopback only, and every request
//! acts as the owner. From the first credential on, a dialect either requires one or takes a
//! request without one for the role `anon`.

use crate::app::App;
use crate::dialect::Dialect;
use crate::error::{Failure, Result};
use helios_net::bearer;
use hyper::HeaderMap;

const ANONYMOUS_ROLE: &str = "anon";

/// The role that the request acts as.
pub fn role(app: &App, headers: &HeaderMap, dialect: Dialect) -> Result<String> {
    let configured = app.config.api_key.as_deref();
    if configured.is_none() && !app.engine.has_credentials() && app.surroundings.is_loopback_only()
    {
        return Ok(app.engine.superuser().to_owned());
    }
    match bearer::presented(headers)? {
        Some(key) if configured.is_some_and(|expected| bearer::matches(key, expected)) => {
            Ok(app.engine.superuser().to_owned())
        }
        Some(_) => Err(Failure::from(bearer::invalid())),
        None if app.config.required.contains(&dialect) => Err(Failure::from(bearer::missing())),
        None if app
            .engine
            .catalog()
            .role_named(ANONYMOUS_ROLE)
            .is_some_and(|r| r.login) =>
        {
            Ok(ANONYMOUS_ROLE.to_owned())
        }
        None => Err(Failure::from(bearer::missing())),
    }
}
