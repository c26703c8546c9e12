//! Raw bytes against a served engine: what is sent, and which messages come back.

mod client;

use client::{Client, Server, bind, execute, message, startup, text};

#[tokio::test]
async fn a_simple_query_is_answered_with_description_rows_and_tag() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.query("SELECT 1 AS one, 'x'::text AS two").await;
    assert_eq!(
        client.until_ready().await,
        ["T one:23 two:25", "D 1|x", "C SELECT 1", "Z I"]
    );
    client.query("").await;
    assert_eq!(client.until_ready().await, ["I", "Z I"]);
}

#[tokio::test]
async fn statements_of_one_string_are_one_transaction() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.query("CREATE TABLE t (a int PRIMARY KEY)").await;
    assert_eq!(client.until_ready().await, ["C CREATE TABLE", "Z I"]);
    client
        .query("INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)")
        .await;
    let answer = client.until_ready().await;
    assert_eq!(answer[0], "C INSERT 0 1");
    assert!(answer[1].starts_with("E ERROR 23505 "), "{answer:?}");
    assert_eq!(answer[2], "Z I");
    client.query("SELECT count(*) FROM t").await;
    assert_eq!(
        client.until_ready().await,
        ["T count:20", "D 0", "C SELECT 1", "Z I"]
    );
    client.query("BEGIN; INSERT INTO t VALUES (2)").await;
    assert_eq!(
        client.until_ready().await,
        ["C BEGIN", "C INSERT 0 1", "Z T"]
    );
    client.query("SELECT nothing").await;
    let answer = client.until_ready().await;
    assert!(answer[0].starts_with("E ERROR 42703 "), "{answer:?}");
    assert_eq!(answer[1], "Z E");
    client.query("COMMIT").await;
    assert_eq!(client.until_ready().await, ["C ROLLBACK", "Z I"]);
}

#[tokio::test]
async fn an_error_in_a_pipeline_skips_to_sync_and_rolls_back() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.query("CREATE TABLE t (a int PRIMARY KEY)").await;
    client.until_ready().await;
    let mut pipeline = Vec::new();
    for value in ["1", "1", "2"] {
        pipeline.extend(message(
            b'P',
            &[text(""), text("INSERT INTO t VALUES ($1)"), vec![0, 0]].concat(),
        ));
        pipeline.extend(bind("", "", &[Some(value.as_bytes())], 0));
        pipeline.extend(execute("", 0));
    }
    pipeline.extend(message(b'S', &[]));
    client.send(&pipeline).await;
    let answer = client.until_ready().await;
    assert_eq!(&answer[..5], ["1", "2", "C INSERT 0 1", "1", "2"]);
    assert!(answer[5].starts_with("E ERROR 23505 "), "{answer:?}");
    assert_eq!(&answer[6..], ["Z I"]);
    client.query("SELECT count(*) FROM t").await;
    assert_eq!(client.until_ready().await[1], "D 0");
}

#[tokio::test]
async fn a_row_limit_suspends_the_portal() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let query = "SELECT g FROM generate_series(1, 5) AS g";
    let mut batch = message(b'P', &[text(""), text(query), vec![0, 0]].concat());
    batch.extend(bind("p", "", &[], 0));
    batch.extend(message(b'D', &[vec![b'P'], text("p")].concat()));
    for rows in [2, 2, 2, 2] {
        batch.extend(execute("p", rows));
    }
    batch.extend(message(b'S', &[]));
    client.send(&batch).await;
    assert_eq!(
        client.until_ready().await,
        [
            "1",
            "2",
            "T g:23",
            "D 1",
            "D 2",
            "s",
            "D 3",
            "D 4",
            "s",
            "D 5",
            "C SELECT 1",
            "C SELECT 0",
            "Z I"
        ]
    );
}

#[tokio::test]
async fn parameters_and_results_travel_in_binary() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let query = "SELECT $1::int4 + 1, $2::text";
    let mut batch = message(b'P', &[text("s"), text(query), vec![0, 0]].concat());
    batch.extend(message(b'D', &[vec![b'S'], text("s")].concat()));
    batch.extend(bind("", "s", &[Some(&41i32.to_be_bytes()), Some(b"x")], 1));
    batch.extend(execute("", 0));
    batch.extend(message(b'S', &[]));
    client.send(&batch).await;
    let answer = client.until_ready().await;
    assert_eq!(answer[0], "1");
    assert_eq!(answer[1], "t 23 25");
    assert!(answer[2].starts_with("T "));
    assert_eq!(&answer[3..], ["2", "D \\x0000002a|x", "C SELECT 1", "Z I"]);
}

#[tokio::test]
async fn copy_moves_rows_in_and_out() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client
        .query("CREATE TABLE t (a int PRIMARY KEY, b text)")
        .await;
    client.until_ready().await;
    client
        .query("COPY t FROM STDIN; SELECT count(*) FROM t")
        .await;
    assert_eq!(client.next().await, "G");
    // Cut in the middle of a row.
    client.send(&message(b'd', b"1\tone\n2\t")).await;
    client.send(&message(b'd', b"\\N\n")).await;
    client.send(&message(b'c', &[])).await;
    assert_eq!(
        client.until_ready().await,
        ["C COPY 2", "T count:20", "D 2", "C SELECT 1", "Z I"]
    );
    client.query("COPY t TO STDOUT (FORMAT csv, HEADER)").await;
    assert_eq!(
        client.until_ready().await,
        [
            "H",
            "d a,b\n",
            "d 1,one\n",
            "d 2,\n",
            "c",
            "C COPY 2",
            "Z I"
        ]
    );
    client.query("COPY t FROM STDIN").await;
    assert_eq!(client.next().await, "G");
    client.send(&message(b'd', b"3\tx\nbad\tx\n")).await;
    let answer = client.until_ready().await;
    assert!(answer[0].starts_with("E ERROR 22P02 "), "{answer:?}");
    client.send(&message(b'c', &[])).await;
    client.query("SELECT count(*) FROM t").await;
    assert_eq!(client.until_ready().await[1], "D 2");
}

#[tokio::test]
async fn tls_and_gss_are_refused_in_one_byte() {
    let server = Server::start().await;
    let mut client = server.open().await;
    for code in [80_877_103u32, 80_877_104] {
        client
            .send(&[8u32.to_be_bytes(), code.to_be_bytes()].concat())
            .await;
        assert_eq!(client.byte().await, b'N');
    }
    client
        .send(&startup(
            196_608,
            &[("user", "helios"), ("database", "heliosdb")],
        ))
        .await;
    assert_eq!(
        client.until_ready().await.last().map(String::as_str),
        Some("Z I")
    );
}

#[tokio::test]
async fn a_newer_minor_version_is_negotiated_down() {
    let server = Server::start().await;
    let mut client = server.open().await;
    client
        .send(&startup(
            196_609 + 8,
            &[
                ("user", "helios"),
                ("_pq_.odd", "1"),
                ("database", "heliosdb"),
            ],
        ))
        .await;
    let answer = client.until_ready().await;
    assert_eq!(answer[0], "v");
    assert_eq!(answer.last().map(String::as_str), Some("Z I"));
    let mut old = server.open().await;
    old.send(&startup(131_072, &[])).await;
    assert!(old.next().await.starts_with("E FATAL 0A000 "));
    assert!(old.closed().await);
}

#[tokio::test]
async fn start_up_says_what_is_missing() {
    let server = Server::start().await;
    for (parameters, sqlstate) in [
        (&[("database", "heliosdb")][..], "28000"),
        (&[("user", "helios"), ("database", "nowhere")], "3D000"),
        (
            &[
                ("user", "helios"),
                ("database", "heliosdb"),
                ("replication", "true"),
            ],
            "0A000",
        ),
    ] {
        let mut client = server.open().await;
        client.send(&startup(196_608, parameters)).await;
        let answer = client.next().await;
        assert!(
            answer.starts_with(&format!("E FATAL {sqlstate} ")),
            "{parameters:?}: {answer}"
        );
        assert!(client.closed().await);
    }
}

#[tokio::test]
async fn a_function_call_is_refused_and_the_connection_goes_on() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send(&message(b'F', &[0; 10])).await;
    let answer = client.until_ready().await;
    assert!(answer[0].starts_with("E ERROR 0A000 "), "{answer:?}");
    client.query("SELECT 1").await;
    assert_eq!(client.until_ready().await[1], "D 1");
}

#[tokio::test]
async fn invalid_utf_8_is_refused() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.send(&message(b'Q', b"SELECT '\xff'\0")).await;
    let answer = client.until_ready().await;
    assert!(answer[0].starts_with("E ERROR 22021 "), "{answer:?}");
    let mut batch = message(
        b'P',
        &[text(""), text("SELECT $1::text"), vec![0, 0]].concat(),
    );
    batch.extend(bind("", "", &[Some(b"\xc3\x28")], 0));
    batch.extend(message(b'S', &[]));
    client.send(&batch).await;
    let answer = client.until_ready().await;
    assert!(answer[1].starts_with("E ERROR 22021 "), "{answer:?}");
}

#[tokio::test]
async fn damage_ends_only_its_own_connection() {
    let server = Server::start().await;
    let mut witness = server.connect().await;
    for damage in [
        &b"Q\0\0\0\x03"[..],
        b"Q\xff\xff\xff\xff",
        b"Q\x7f\xff\xff\xff",
        b"\x01\0\0\0\x04",
    ] {
        let mut client = server.connect().await;
        client.send(damage).await;
        let answer = client.next().await;
        assert!(answer.starts_with("E FATAL 08P01 "), "{damage:?}: {answer}");
        assert!(client.closed().await);
    }
    let mut client = server.connect().await;
    // Right lengths around wrong contents: an error of the message alone.
    client.send(&message(b'B', b"no end")).await;
    client.send(&message(b'S', &[])).await;
    let answer = client.until_ready().await;
    assert!(answer[0].starts_with("E ERROR 08P01 "), "{answer:?}");
    witness.query("SELECT 1").await;
    assert_eq!(witness.until_ready().await[1], "D 1");
}

#[tokio::test]
async fn a_wrong_number_of_parameters_is_an_error_of_bind() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    let mut batch = message(
        b'P',
        &[text("s"), text("SELECT $1::int4"), vec![0, 0]].concat(),
    );
    batch.extend(bind("", "s", &[], 0));
    batch.extend(execute("", 0));
    batch.extend(message(b'S', &[]));
    batch.extend(bind("", "gone", &[], 0));
    batch.extend(message(b'S', &[]));
    client.send(&batch).await;
    let answer = client.until_ready().await;
    assert_eq!(answer[0], "1");
    assert!(answer[1].starts_with("E ERROR 08P01 "), "{answer:?}");
    assert_eq!(answer[2], "Z I");
    assert!(client.until_ready().await[0].starts_with("E ERROR 26000 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_request_ends_the_statement_of_its_session() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.query("SELECT pg_sleep(60)").await;
    let (pid, key) = client.backend_key();
    // The statement may not have begun when the first request comes.
    let asking = async {
        loop {
            let mut other = server.open().await;
            let request = [
                &16u32.to_be_bytes()[..],
                &80_877_102u32.to_be_bytes(),
                &pid,
                &key,
            ];
            other.send(&request.concat()).await;
            assert!(other.closed().await);
        }
    };
    let answer = tokio::select! {
        answer = client.until_ready() => answer,
        () = asking => Vec::new(),
    };
    assert!(
        answer.iter().any(|m| m.starts_with("E ERROR 57014 ")),
        "{answer:?}"
    );
}

#[tokio::test]
async fn changed_settings_are_reported() {
    let server = Server::start().await;
    let mut client = server.connect().await;
    client.query("SET application_name = 'wire'").await;
    let answer = client.until_ready().await;
    assert!(
        answer.contains(&"S application_name=wire".to_owned()),
        "{answer:?}"
    );
}

#[tokio::test]
async fn an_error_says_where_and_what() {
    let server = Server::start().await;
    let mut client: Client = server.connect().await;
    client.query("SELECT * FROM nowhere").await;
    assert_eq!(
        client.until_ready().await[0],
        "E ERROR 42P01 relation \"nowhere\" does not exist P=15"
    );
}

#[tokio::test]
async fn idle_sessions_end_when_their_time_is_over() {
    let server = Server::start().await;
    for (setting, last, sqlstate) in [
        ("idle_session_timeout", "SELECT 1", "57P05"),
        ("idle_in_transaction_session_timeout", "BEGIN", "25P03"),
    ] {
        let mut client = server.connect().await;
        client.query(&format!("SET {setting} = '100ms'")).await;
        client.until_ready().await;
        client.query(last).await;
        client.until_ready().await;
        let answer = client.next().await;
        assert!(
            answer.starts_with(&format!("E FATAL {sqlstate} ")),
            "{setting}: {answer}"
        );
        assert!(client.closed().await);
    }
}
