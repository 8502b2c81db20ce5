//! Where traces go and which: OpenTelemetry's variables first, then the configuration.

use std::{fs, path::Path, time::Duration};

use crate::config::section::Telemetry;

use super::error::TelemetryError;

/// How long a collector may take to take a batch of spans, if no variable says.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The authorities of this machine, where no other is named.
const SYSTEM: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Where traces go, and which.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The collector, as a URL.
    pub endpoint: String,
    /// Headers that it wants to see; those of the environment come on top.
    pub headers: Vec<(String, String)>,
    /// The authorities of its certificate (PEM), if it has one.
    pub authorities: Option<Vec<u8>>,
    /// The name of this service, if the environment has none.
    pub service: Option<String>,
    /// What else is told of this process, but for what the environment says.
    pub attributes: Vec<(String, String)>,
    /// The share of traces that are kept, from 0 to 1, if the environment names no sampler.
    pub share: Option<f64>,
    /// How long the collector may take.
    pub timeout: Duration,
}

impl Settings {
    /// By the environment and the configuration; none if traces go nowhere.
    ///
    /// # Errors
    /// If what they say can't be done.
    pub fn resolve(
        config: &Telemetry,
        service: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, TelemetryError> {
        let set = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        // The variable of traces wins over the one of all signals.
        let either = |traces: &'static str, all: &'static str| {
            let (first, second) = (set(traces).map(|value| (traces, value)), (all, set(all)));
            first.or_else(|| Some((second.0, second.1?)))
        };
        let off = set("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true"));
        let other = set("OTEL_TRACES_EXPORTER").is_some_and(|name| name != "otlp");
        let endpoint = either("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
            .map_or_else(|| config.endpoint.clone(), |(_, value)| value);
        if off || other || endpoint.is_empty() {
            return Ok(None);
        }
        let protocol = either("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL");
        if let Some((key, value)) = protocol.filter(|(_, value)| value != "grpc") {
            return Err(TelemetryError::Protocol { key, value });
        }
        let certificate =
            either("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE");
        let authorities = match certificate {
            Some((key, path)) => Some(read(key, Path::new(&path))?),
            None if !config.authorities.as_os_str().is_empty() => {
                Some(read("telemetry.authorities", &config.authorities)?)
            }
            None if endpoint.starts_with("https:") => {
                Some(read("telemetry.authorities", Path::new(SYSTEM))?)
            }
            None => None,
        };
        let timeout = either("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT");
        let timeout = timeout.and_then(|(_, value)| value.trim().parse().ok());
        let told = attributes(set("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default().split(','));
        let told: Vec<_> = told.into_iter().filter_map(Result::ok).collect();
        let has = |name: &str| told.iter().any(|(told, _)| told == name);
        let named = has("service.name") || set("OTEL_SERVICE_NAME").is_some();
        let own = Some(&config.service).filter(|name| !name.is_empty());
        let own = own.map_or_else(|| service.to_owned(), Clone::clone);
        let attributes: Vec<_> = attributes(config.attributes.iter().map(String::as_str))
            .into_iter()
            .collect::<Result<_, _>>()?;
        Ok(Some(Self {
            endpoint,
            headers: headers(&config.headers_file)?,
            authorities,
            service: (!named).then_some(own),
            attributes: attributes.into_iter().filter(|(name, _)| !has(name)).collect(),
            share: set("OTEL_TRACES_SAMPLER").is_none().then(|| share(config)),
            timeout: timeout.map_or(TIMEOUT, Duration::from_millis),
        }))
    }
}

/// The share of traces that are kept by the configuration, from 0 to 1.
#[must_use]
pub fn share(config: &Telemetry) -> f64 {
    f64::from(config.sample_percent) / 100.0
}

fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, TelemetryError> {
    fs::read(path).map_err(|source| TelemetryError::File { key, path: path.to_owned(), source })
}

/// The headers in a file, one a line. It is a file of its own, since they may be secret.
fn headers(path: &Path) -> Result<Vec<(String, String)>, TelemetryError> {
    if path.as_os_str().is_empty() {
        return Ok(Vec::new());
    }
    let text = read("telemetry.headers_file", path)?;
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().enumerate().map(|(at, line)| (at + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let header = |(line, text): (usize, &str)| {
        let wrong = || TelemetryError::Header { path: path.to_owned(), line };
        let (name, value) = text.split_once(':').ok_or_else(wrong)?;
        Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
    };
    lines.map(header).collect()
}

fn attributes<'a>(
    texts: impl Iterator<Item = &'a str>,
) -> Vec<Result<(String, String), TelemetryError>> {
    let attribute = |text: &str| {
        let (name, value) = text.split_once('=').filter(|(name, _)| !name.trim().is_empty())?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    let wrong = |text: &str| TelemetryError::Attribute(text.to_owned());
    texts.map(|text| attribute(text).ok_or_else(|| wrong(text))).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn resolve(
        config: &Telemetry,
        env: &[(&str, &str)],
    ) -> Result<Option<Settings>, TelemetryError> {
        let get = |name: &str| {
            env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::resolve(config, "darwind", &get)
    }

    const HERE: &str = "http://127.0.0.1:4317";

    #[test]
    fn traces_go_nowhere_unless_somebody_says_where() {
        let there = Telemetry { endpoint: HERE.to_owned(), ..Telemetry::default() };
        assert_eq!(resolve(&Telemetry::default(), &[]).unwrap(), None);
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(resolve(&there, &[off]).unwrap(), None, "{off:?}");
        }
        assert_eq!(resolve(&there, &[]).unwrap().unwrap().endpoint, HERE);
    }

    #[test]
    fn the_environment_wins_over_the_file_and_traces_over_all_signals() {
        let config = Telemetry {
            endpoint: HERE.to_owned(),
            service: "mine".to_owned(),
            attributes: vec!["a=1".to_owned(), "b=2".to_owned()],
            sample_percent: 5,
            ..Telemetry::default()
        };
        let found = resolve(&config, &[]).unwrap().unwrap();
        assert_eq!((found.service.as_deref(), found.share), (Some("mine"), Some(0.05)));
        let env = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:1"),
            ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:1"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "250"),
            ("OTEL_SERVICE_NAME", "theirs"),
            ("OTEL_RESOURCE_ATTRIBUTES", "b=3"),
            ("OTEL_TRACES_SAMPLER", "always_on"),
        ];
        let found = resolve(&config, &env).unwrap().unwrap();
        assert_eq!(found.endpoint, "http://traces:1");
        assert_eq!(found.timeout, Duration::from_millis(250));
        assert_eq!((found.service, found.share), (None, None));
        assert_eq!(found.attributes, [("a".to_owned(), "1".to_owned())]);
        assert_eq!(resolve(&config, &env[..1]).unwrap().unwrap().endpoint, "http://all:1");
    }

    #[test]
    fn what_cannot_be_done_is_named() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        writeln!(file, "# the collector's\nX-Token: a:b\n").unwrap();
        let mut config = Telemetry { endpoint: HERE.to_owned(), ..Telemetry::default() };
        config.headers_file = file.path().to_owned();
        let found = resolve(&config, &[]).unwrap().unwrap();
        assert_eq!(found.headers, [("x-token".to_owned(), "a:b".to_owned())]);
        writeln!(file, "no header").unwrap();
        let wrong = resolve(&config, &[]).unwrap_err().to_string();
        assert!(wrong.contains("line 4") && !wrong.contains("no header"), "{wrong}");
        config.headers_file = "/nowhere".into();
        let wrong = resolve(&config, &[]).unwrap_err().to_string();
        assert!(wrong.contains("telemetry.headers_file"), "{wrong}");
        let http = [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")];
        let wrong = resolve(&config, &http).unwrap_err().to_string();
        assert!(wrong.contains("OTEL_EXPORTER_OTLP_PROTOCOL"), "{wrong}");
    }
}
