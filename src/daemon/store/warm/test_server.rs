//! What a server adds: connections that break, other daemons, care.

use bytes::Bytes;
use sqlx::{AssertSqlSafe, PgConnection, Row as _, postgres::PgRow};

use super::{
    WarmBackend as _,
    fixture::{STORE, agent, group, new_run, new_session, run, session},
    postgres::{PostgresWarm, fixture::Database},
    rows::Change,
};
use crate::{
    code::Code,
    daemon::store::{cold::Extent, error::StoreError},
};

/// Ends all connections to a database but this one, as a server that starts again does.
async fn cut(place: &Database) -> i64 {
    let row = sqlx::query(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    row.fetch_one(&mut place.connection().await).await.unwrap().try_get(0).unwrap()
}

async fn filled(place: &Database) {
    place.warm.open(STORE, 1).await.unwrap();
    place.warm.write(vec![new_session(session(), 10), new_run()]).await.unwrap();
}

#[tokio::test]
async fn a_connection_that_broke_while_it_was_idle_is_replaced() {
    let Some(place) = Database::new().await else { return };
    filled(&place).await;
    for n in 1..4_i64 {
        assert!(place.warm.session(session()).await.unwrap().is_some());
        assert_eq!(cut(&place).await, 2, "one reads, one writes");
        assert!(place.warm.session(session()).await.unwrap().is_some());
        let extent = Extent { segment: 1, length: n.cast_unsigned() };
        place.warm.write(vec![group(vec![agent(n, &[], None)], extent)]).await.unwrap();
    }
    assert_eq!(place.warm.count().await.unwrap(), 3);
    place.end().await;
}

#[tokio::test]
async fn what_is_one_statement_is_made_or_its_outcome_is_said_to_be_unknown() {
    let Some(place) = Database::new().await else { return };
    filled(&place).await;
    cut(&place).await;
    let touch = || vec![Change::Touch(session(), 77)];
    let unknown = place.warm.write(touch()).await.unwrap_err();
    assert!(matches!(unknown, StoreError::Unreachable { .. }), "{unknown}");
    // Whoever settles knows.
    place.warm.write(vec![Change::Settle]).await.unwrap();
    assert_eq!(place.warm.session(session()).await.unwrap().unwrap().used_ms, 10);
    place.warm.write(touch()).await.unwrap();
    assert_eq!(place.warm.session(session()).await.unwrap().unwrap().used_ms, 77);
    place.end().await;
}

#[tokio::test]
async fn who_lost_the_store_to_another_daemon_writes_nothing_more() {
    let Some(place) = Database::new().await else { return };
    filled(&place).await;
    cut(&place).await;
    let other = PostgresWarm::at(&place.url).unwrap();
    other.open(STORE, 1).await.unwrap();
    drop(other);
    // Its connection is gone, which it finds out by asking for something.
    let gone = place.warm.write(vec![Change::Settle]).await.unwrap_err();
    assert!(matches!(gone, StoreError::Unreachable { .. }), "{gone}");
    for changes in [
        vec![Change::Settle],
        vec![group(vec![agent(1, &[], None)], Extent { segment: 1, length: 1 })],
    ] {
        let lost = place.warm.write(changes).await.unwrap_err();
        assert_eq!(lost.code(), Code::Conflict, "{lost}");
        assert!(lost.to_string().contains("another daemon"), "{lost}");
    }
    assert!(place.warm.open(STORE, 1).await.is_err());
    assert_eq!(place.warm.count().await.unwrap(), 0);
    place.end().await;
}

#[tokio::test]
async fn care_is_taken_of_every_table_once_a_day() {
    let Some(place) = Database::new().await else { return };
    filled(&place).await;
    for n in 0..300_u64 {
        place.warm.write(vec![Change::Touch(session(), 100 + n)]).await.unwrap();
    }
    let mut beside = place.connection().await;
    let tables = "SELECT count(*), count(last_vacuum), count(last_analyze) FROM pg_stat_user_tables
                  WHERE schemaname = current_schema()";
    let counts = async |open: &mut PgConnection| {
        let row: PgRow = sqlx::query(tables).fetch_one(open).await.unwrap();
        [0, 1, 2].map(|column| row.try_get::<i64, _>(column).unwrap())
    };
    let [all, vacuumed, _] = counts(&mut beside).await;
    assert_eq!((all, vacuumed), (16, 0));
    assert_eq!(place.warm.tend().await.unwrap(), 16);
    assert_eq!(counts(&mut beside).await, [16, 16, 16]);
    assert_eq!(place.warm.tend().await.unwrap(), 0);
    // A day later it is due again.
    let late = "UPDATE meta.upkeep SET done_ms = done_ms - 86400001";
    sqlx::raw_sql(AssertSqlSafe(late)).execute(&mut beside).await.unwrap();
    assert_eq!(place.warm.tend().await.unwrap(), 16);
    place.end().await;
}

#[tokio::test]
async fn a_reader_refuses_a_schema_that_it_does_not_know() {
    let Some(place) = Database::new().await else { return };
    filled(&place).await;
    let later = "INSERT INTO meta.schema_version VALUES (99, 'later', 0)";
    sqlx::raw_sql(later).execute(&mut place.connection().await).await.unwrap();
    // Those that are open were checked when they were opened: a new one looks.
    cut(&place).await;
    let refused = place.warm.run(run()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Version { found: 99, .. }), "{refused}");
    let refused = place.warm.write(vec![Change::Settle]).await;
    assert!(refused.is_err());
    let refused = place.warm.write(vec![Change::Context(session(), Bytes::new())]).await;
    assert!(matches!(refused, Err(StoreError::Version { .. })));
    place.end().await;
}
