//! Databases of tests, on a real server: `scripts/services up postgres` starts one.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use super::{PostgresWarm, connect::Address};
use crate::required;

/// A database of its own, which ends with it.
pub struct Database {
    /// The back end.
    pub warm: Arc<PostgresWarm>,
    /// Where it is.
    pub url: String,
    server: String,
    name: String,
}

impl Database {
    /// A new one; none if no server is named, which fails where `DARWIN_TEST_REQUIRE` has
    /// `postgres` among its words.
    pub async fn new() -> Option<Self> {
        let Ok(server) = std::env::var("DARWIN_TEST_POSTGRES") else {
            let why = "DARWIN_TEST_POSTGRES names no server (scripts/services up postgres)";
            required::not_run("postgres", why);
            return None;
        };
        let name = format!("test_{:032x}", rand::random::<u128>());
        execute(&server, format!("CREATE DATABASE {name}")).await;
        let url = server.replacen("/darwin?", &format!("/{name}?"), 1);
        let warm = Arc::new(PostgresWarm::at(&url).unwrap());
        Some(Self { warm, url, server, name })
    }

    /// A connection to it beside the store's own.
    pub async fn connection(&self) -> PgConnection {
        Address::parse(&self.url).unwrap().connect().await.unwrap()
    }

    /// Drops it.
    pub async fn end(self) {
        let Self { warm, server, name, .. } = self;
        drop(warm);
        execute(&server, format!("DROP DATABASE {name} WITH (FORCE)")).await;
    }
}

async fn execute(server: &str, sql: String) {
    let mut open = Address::parse(server).unwrap().connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut open).await.unwrap();
    open.close().await.unwrap();
}
