//! The proxy by which agents ask language models: a Unix socket outside, which is mounted into
//! their sandboxes. They have no network, and no key is ever theirs.

use std::{
    fs,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::{Path, PathBuf},
};

use super::error::EvaluatorError;
use crate::domain::suite::Suite;

/// The proxy's socket, if `suite` lets agents ask models.
///
/// # Errors
/// If there is no proxy, or one that agents cannot connect to.
pub fn socket(suite: &Suite, proxy: Option<&Path>) -> Result<Option<PathBuf>, EvaluatorError> {
    if !suite.models {
        return Ok(None);
    }
    let refused = |reason| EvaluatorError::Models { suite: suite.name.clone(), reason };
    let Some(proxy) = proxy else {
        let reason = "no proxy to them is configured; set evaluator.model_socket to its socket";
        return Err(refused(reason.to_owned()));
    };
    check(proxy).map_err(refused)?;
    Ok(Some(proxy.to_owned()))
}

/// Whether an agent could connect to it; or why not, in words.
fn check(proxy: &Path) -> Result<(), String> {
    let path = proxy.display();
    let next = "start the proxy, or correct evaluator.model_socket";
    let meta = fs::metadata(proxy).map_err(|error| format!("{path}: {error}; {next}"))?;
    if !meta.file_type().is_socket() {
        return Err(format!("{path} is no socket; {next}"));
    }
    // Agents of a superuser's daemon have a user that is nobody else's.
    if rustix::process::geteuid().is_root() && meta.mode() & 0o002 == 0 {
        return Err(format!(
            "{path} is not open to the user that they run as; give it the mode 0666, and keep \
             others out by the mode of its directory"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::{fs::PermissionsExt as _, net::UnixListener};

    use super::*;
    use crate::domain::suite::Method;

    #[test]
    fn a_suite_that_wants_models_is_refused_without_a_proxy_that_takes_calls() {
        let suite = Suite::new("s", Method::Command { argv: Vec::new(), build: None });
        assert_eq!(socket(&suite, Some(Path::new("/gone"))), Ok(None));
        let suite = Suite { models: true, ..suite };
        let refused = |proxy| socket(&suite, proxy).unwrap_err().to_string();
        assert!(refused(None).contains("set evaluator.model_socket"));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("proxy.sock");
        assert!(refused(Some(&path)).contains("start the proxy"));
        fs::write(&path, "").unwrap();
        assert!(refused(Some(&path)).contains("is no socket"));
        fs::remove_file(&path).unwrap();
        let _held = UnixListener::bind(&path).unwrap();
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        mode(0o600);
        let open = socket(&suite, Some(&path));
        if rustix::process::geteuid().is_root() {
            assert!(open.unwrap_err().to_string().contains("0666"));
        } else {
            assert_eq!(open, Ok(Some(path.clone())));
        }
        mode(0o666);
        assert_eq!(socket(&suite, Some(&path)), Ok(Some(path.clone())));
    }
}
