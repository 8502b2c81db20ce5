//! The daily care of the database (S-P2): dead rows are taken away, and what its planner knows of
//! the tables is renewed.

use std::time::Duration;

use super::store::warm::Warm;

/// How often is looked whether it is due; the database itself knows when it was done.
const LOOK: Duration = Duration::from_secs(60 * 60);

/// Keeps the database, for as long as the daemon lives.
///
/// # Errors
/// Never: what can't be done now is tried again.
pub async fn keep(warm: Warm) -> Result<(), String> {
    loop {
        let result = match warm.rows().tend().await {
            Ok(0) => None,
            Ok(tables) => {
                tracing::info!(tables, "took care of the database");
                Some("ok")
            }
            Err(error) => {
                tracing::warn!(%error, "the database could not be taken care of");
                Some("error")
            }
        };
        if let Some(result) = result {
            metrics::counter!("darwin_warm_upkeeps_total", "result" => result).increment(1);
        }
        tokio::time::sleep(LOOK).await;
    }
}
