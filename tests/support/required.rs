//! What is said of a test that cannot run here.

use std::io::Write as _;

/// Past the test harness, which keeps what passing tests print to itself.
pub fn tell(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).expect("standard error is open");
}

/// Says that something is not tested, and why: it needs `what`.
///
/// # Panics
/// If `DARWIN_TEST_REQUIRE`, words with spaces or commas between them, has `what` among them.
pub fn not_run(what: &str, why: &str) {
    let required = std::env::var("DARWIN_TEST_REQUIRE").unwrap_or_default();
    let required = required.split([' ', ',']).any(|word| word == what);
    assert!(!required, "DARWIN_TEST_REQUIRE names {what}, but {why}");
    tell(&format!("NOT RUN for want of “{what}”: {why}"));
}
