//! TLS in every protocol, with the protocols' own clients.

#[path = "daemon/process.rs"]
mod daemon;

use daemon::Daemon;
use std::path::Path;
use std::process::Command;

const PASSWORD: &str = "correct horse";

/// A certificate and its key: the names of their files.
type Certificate = (String, String);

/// A certificate for this machine, signed by `authority`, or by itself as an authority.
fn certificate(directory: &Path, name: &str, authority: Option<&Certificate>) -> Certificate {
    let path = |kind: &str| {
        directory
            .join(format!("{name}.{kind}"))
            .display()
            .to_string()
    };
    let (certificate, key) = (path("crt"), path("key"));
    let mut openssl = Command::new("openssl");
    openssl
        .args([
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ])
        .args(["-subj", &format!("/CN={name}")])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
        .args(["-keyout", &key, "-out", &certificate]);
    if let Some((certificate, key)) = authority {
        openssl
            .args(["-CA", certificate, "-CAkey", key])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"]);
    }
    let made = openssl
        .output()
        .expect("openssl is installed: make setup-clients");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    (certificate, key)
}

/// Whether the program succeeded, and all that it printed.
fn run(program: &str, arguments: &[&str], environment: &[(&str, &str)]) -> (bool, String) {
    // grpcurl is where `go install` puts it.
    let path = format!(
        "{}:{}/go/bin",
        std::env::var("PATH").unwrap_or_default(),
        std::env::var("HOME").unwrap_or_default()
    );
    let output = Command::new("env")
        .arg(program)
        .args(arguments)
        .env("PATH", path)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), text)
}

fn start(certificate: &str, key: &str, further: &[(&str, &str)]) -> Daemon {
    Daemon::start_with(|command| {
        command
            .env("HELIOSDB_PASSWORD", PASSWORD)
            .env("HELIOSDB_API_KEY", "hdb_sk_test")
            .env("HELIOSDB__TLS__ENABLED", "true")
            .env("HELIOSDB__TLS__CERT_FILE", certificate)
            .env("HELIOSDB__TLS__KEY_FILE", key)
            .envs(further.iter().copied());
    })
}

#[test]
fn every_protocol_is_served_encrypted_and_to_who_knows_the_password() {
    let work = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(work.path(), "server", None);
    let daemon = start(&certificate, &key, &[]);
    let port = |name: &str| daemon.port(name).to_string();
    let http = format!("https://localhost:{}/api/v1/query", port("http"));
    let sql = "{\"sql\":\"SELECT 41 + 1 AS answer\"}";
    let json = "Content-Type: application/json";
    let pg = format!(
        "postgresql://helios@localhost:{}/heliosdb?sslmode=verify-full&sslrootcert={certificate}",
        port("pg")
    );
    let mongo = |password: &str| {
        format!(
            "mongodb://helios:{password}@localhost:{}/heliosdb?tls=true&tlsCAFile={certificate}&authSource=admin&serverSelectionTimeoutMS=5000",
            port("mongo")
        )
    };
    let grpc = format!("localhost:{}", port("grpc"));
    let query = "heliosdb.v1.HeliosDB/ExecuteQuery";
    let redis = port("redis");
    let redis = [
        "--tls",
        "--cacert",
        &certificate,
        "-p",
        &redis,
        "--no-auth-warning",
    ];
    let ask = "db.runCommand({ping: 1}).ok + 41";
    let cases: Vec<(&str, Vec<&str>, &str, &str)> = vec![
        (
            "psql",
            vec!["-X", "-At", &pg, "-c", "SELECT 41 + 1"],
            PASSWORD,
            "42",
        ),
        (
            "psql",
            vec!["-X", "-At", &pg, "-c", "SELECT 41 + 1"],
            "wrong",
            "password authentication failed",
        ),
        (
            "curl",
            vec![
                "-sS",
                "--cacert",
                &certificate,
                "-H",
                "X-API-Key: hdb_sk_test",
                "-H",
                json,
                "-d",
                sql,
                &http,
            ],
            "",
            "\"answer\":42",
        ),
        (
            "curl",
            vec![
                "-sS",
                "--http2",
                "--cacert",
                &certificate,
                "-H",
                json,
                "-d",
                sql,
                &http,
            ],
            "",
            "AUTHENTICATION_REQUIRED",
        ),
        (
            "curl",
            vec!["-sS", "-H", json, "-d", sql, &http],
            "",
            "SSL certificate problem",
        ),
        (
            "grpcurl",
            vec![
                "-cacert",
                &certificate,
                "-H",
                "authorization: Bearer hdb_sk_test",
                "-d",
                sql,
                &grpc,
                query,
            ],
            "",
            "\"intValue\": \"42\"",
        ),
        (
            "grpcurl",
            vec!["-plaintext", "-d", sql, &grpc, query],
            "",
            "failed",
        ),
    ];
    for (program, arguments, password, expected) in cases {
        let (_, text) = run(program, &arguments, &[("PGPASSWORD", password)]);
        assert!(
            text.to_lowercase().contains(&expected.to_lowercase()),
            "{program} {arguments:?}: {text}"
        );
    }
    for (password, expected) in [(PASSWORD, "PONG"), ("wrong", "WRONGPASS")] {
        let arguments = [
            &redis[..],
            &["--user", "helios", "--pass", password, "PING"],
        ]
        .concat();
        let (_, text) = run("redis-cli", &arguments, &[]);
        assert!(text.contains(expected), "{text}");
    }
    let (_, text) = run("redis-cli", &[&redis[..], &["PING"]].concat(), &[]);
    assert!(text.contains("NOAUTH"), "{text}");
    for (password, expected) in [
        ("correct%20horse", "42"),
        ("wrong", "Authentication failed"),
    ] {
        let (_, text) = run(
            "mongosh",
            &["--quiet", &mongo(password), "--eval", ask],
            &[],
        );
        assert!(text.contains(expected), "{text}");
    }
}

#[test]
fn a_client_shows_the_certificate_that_is_asked_for() {
    let work = tempfile::tempdir().unwrap();
    let make = |name, authority| certificate(work.path(), name, authority);
    let (server, server_key) = make("server", None);
    let authority = make("authority", None);
    let (client, client_key) = make("client", Some(&authority));
    let other = make("other", None);
    let (stranger, stranger_key) = make("stranger", Some(&other));
    let daemon = start(
        &server,
        &server_key,
        &[
            ("HELIOSDB__TLS__CLIENT_AUTH", "require"),
            ("HELIOSDB__TLS__CLIENT_CA_FILE", &authority.0),
        ],
    );
    let url = format!("https://localhost:{}/api/v1/live", daemon.port("http"));
    let ask = |with: &[&str]| {
        run(
            "curl",
            &[&["-sS", "--cacert", &server, &url], with].concat(),
            &[],
        )
    };
    let (success, text) = ask(&["--cert", &client, "--key", &client_key]);
    assert!(success && text.contains("\"alive\":true"), "{text}");
    assert!(!ask(&[]).0, "without a certificate");
    assert!(
        !ask(&["--cert", &stranger, "--key", &stranger_key]).0,
        "with one that is not known"
    );
}
