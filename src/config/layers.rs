//! Layers: defaults < file < drop-ins < environment < flags, each value with its origin.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use serde::Deserialize as _;
use toml::{Table, Value};

use super::{
    error::ConfigError,
    section::{Config, redact},
    text,
};

/// The defaults, as a file with a comment on every key.
pub const DEFAULT: &str = include_str!("default.toml");

/// The most drop-in files that are read.
const MAX_DROP_INS: usize = 100;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A file.
    File(PathBuf),
    /// An environment variable, by its name.
    Environment(String),
    /// A flag of the command line, by its name.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => path.display().fmt(f),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// What configures the program, beside its defaults.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The configuration file; its drop-ins lie in `config.d` beside it.
    pub file: PathBuf,
    /// Whether the user named the file, so that it must be there.
    pub must_exist: bool,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// Flags: the key that each sets, how the flag is written, its value.
    pub flags: Vec<(&'static str, String, String)>,
}

/// The configuration with the origin of each value.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    origins: BTreeMap<String, Origin>,
}

impl Loaded {
    /// Reads all layers and checks the result.
    ///
    /// # Errors
    /// On the first mistake: which file, variable or flag, which key, what it should be.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut stack = Stack::new()?;
        for path in files(sources)? {
            stack.file(path)?;
        }
        for (name, value) in &sources.env {
            // DARWIN_HOME and its like name no section.
            if let Some((section, key)) =
                name.strip_prefix("DARWIN_").and_then(|rest| rest.split_once("__"))
            {
                let key = format!("{}.{}", section.to_lowercase(), key.to_lowercase());
                stack.text(&key, value, Origin::Environment(name.clone()))?;
            }
        }
        for (key, flag, value) in &sources.flags {
            stack.text(key, value, Origin::Flag(flag.clone()))?;
        }
        stack.finish()
    }

    /// Where the value of `key` comes from.
    #[must_use]
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    /// Every key in the order of `default.toml`, with its value as TOML (without
    /// passwords) and its origin.
    #[must_use]
    pub fn values(&self) -> Vec<(String, String, Origin)> {
        let Ok(table) = Table::try_from(&self.config) else { return Vec::new() };
        let mut rows = Vec::new();
        for (section, keys) in &table {
            for (name, value) in keys.as_table().into_iter().flatten() {
                let key = format!("{section}.{name}");
                let shown = match value {
                    Value::String(text) => Value::String(redact(text)),
                    other => other.clone(),
                };
                let origin = self.origin(&key);
                rows.push((key, shown.to_string(), origin));
            }
        }
        let place = |key: &str| {
            let (section, name) = key.split_once('.').unwrap_or((key, ""));
            let start = DEFAULT.find(&format!("\n[{section}]")).unwrap_or(usize::MAX);
            let after = DEFAULT.get(start..).and_then(|rest| rest.find(&format!("\n{name} =")));
            (start, after)
        };
        rows.sort_by_key(|(key, _, _)| place(key));
        rows
    }
}

/// The files to read, in order.
fn files(sources: &Sources) -> Result<Vec<PathBuf>, ConfigError> {
    let mut found = Vec::new();
    // One that may not be looked for counts as there, so that it is named.
    if sources.must_exist || sources.file.try_exists().unwrap_or(true) {
        found.push(sources.file.clone());
    }
    let dir = sources.file.with_file_name("config.d");
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => {
            return Err(ConfigError::unread(&dir, &error));
        }
    };
    let mut drop_ins: Vec<_> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .take(MAX_DROP_INS + 1)
        .collect();
    if drop_ins.len() > MAX_DROP_INS {
        let what = format!("more than {MAX_DROP_INS} files; put some together");
        return Err(ConfigError::new(dir.display(), what));
    }
    drop_ins.sort();
    found.extend(drop_ins);
    Ok(found)
}

/// The values so far. Each new one is tried at once, so that a mistake has its place.
struct Stack {
    table: Table,
    origins: BTreeMap<String, Origin>,
}

impl Stack {
    fn new() -> Result<Self, ConfigError> {
        let table = DEFAULT
            .parse()
            .map_err(|error: toml::de::Error| ConfigError::new("defaults", error.to_string()))?;
        Ok(Self { table, origins: BTreeMap::new() })
    }

    fn file(&mut self, path: PathBuf) -> Result<(), ConfigError> {
        let fault = |what: String| ConfigError::new(path.display(), what);
        let text = text::read(&path).map_err(|error| ConfigError::unread(&path, &error))?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| {
            let line = line(&text, &error);
            fault(format!("line {line}: {}", error.message()))
        })?;
        for (section, value) in table {
            self.section(&section, &Origin::File(path.clone()))?;
            let Value::Table(keys) = value else {
                return Err(fault(format!("“{section}” is a section: write [{section}]")));
            };
            for (name, value) in keys {
                self.set(&format!("{section}.{name}"), value, Origin::File(path.clone()))?;
            }
        }
        Ok(())
    }

    /// A value given as text takes the type of the default.
    fn text(&mut self, key: &str, value: &str, origin: Origin) -> Result<(), ConfigError> {
        let default = self.known(key, &origin)?;
        let typed = match default {
            Value::String(_) => Some(Value::String(value.to_owned())),
            Value::Integer(_) => value.trim().parse().ok().map(Value::Integer),
            Value::Boolean(_) => value.trim().parse().ok().map(Value::Boolean),
            Value::Array(_) => {
                let items = value.split(',').map(str::trim).filter(|item| !item.is_empty());
                Some(Value::Array(items.map(Value::from).collect()))
            }
            _ => None,
        };
        let wanted = default.type_str();
        let typed = typed.ok_or_else(|| {
            ConfigError::new(&origin, format!("{key}: “{value}” is not of type {wanted}"))
        })?;
        self.set(key, typed, origin)
    }

    fn section(&self, section: &str, origin: &Origin) -> Result<&Table, ConfigError> {
        self.table.get(section).and_then(Value::as_table).ok_or_else(|| {
            let known: Vec<_> = self.table.keys().map(String::as_str).collect();
            let hint = text::hint(section, &known);
            ConfigError::new(origin, format!("there is no section “{section}”; {hint}"))
        })
    }

    fn known(&self, key: &str, origin: &Origin) -> Result<&Value, ConfigError> {
        let (section, name) = key.split_once('.').unwrap_or((key, ""));
        let keys = self.section(section, origin)?;
        keys.get(name).ok_or_else(|| {
            let known: Vec<_> = keys.keys().map(String::as_str).collect();
            let hint = text::hint(name, &known);
            ConfigError::new(origin, format!("there is no key “{key}”; {hint}"))
        })
    }

    fn set(&mut self, key: &str, value: Value, origin: Origin) -> Result<(), ConfigError> {
        self.known(key, &origin)?;
        let (section, name) = key.split_once('.').unwrap_or((key, ""));
        if let Some(keys) = self.table.get_mut(section).and_then(Value::as_table_mut) {
            keys.insert(name.to_owned(), value);
        }
        Config::deserialize(self.table.clone())
            .map_err(|error| ConfigError::new(&origin, format!("{key}: {}", error.message())))?;
        self.origins.insert(key.to_owned(), origin);
        Ok(())
    }

    fn finish(self) -> Result<Loaded, ConfigError> {
        let config = Config::deserialize(self.table)
            .map_err(|error| ConfigError::new("defaults", error.to_string()))?;
        let loaded = Loaded { config, origins: self.origins };
        match loaded.config.faults().into_iter().next() {
            None => Ok(loaded),
            Some((key, what)) => {
                Err(ConfigError::new(loaded.origin(key), format!("{key}: {what}")))
            }
        }
    }
}

/// The line, from 1, at which `error` lies in `text`.
pub(super) fn line(text: &str, error: &toml::de::Error) -> usize {
    let at = error.span().map_or(0, |span| span.start.min(text.len()));
    text.as_bytes()[..at].split(|byte| *byte == b'\n').count()
}

/// The file that is read when none is named, or the one that is.
#[must_use]
pub fn sources(default: &Path, named: Option<PathBuf>, env: Vec<(String, String)>) -> Sources {
    Sources {
        must_exist: named.is_some(),
        file: named.unwrap_or_else(|| default.to_owned()),
        env,
        flags: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(files: &[(&str, &str)], env: &[(&str, &str)]) -> Result<Loaded, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("config.d")).unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Loaded::load(&sources(&dir.path().join("darwind.toml"), None, env))
    }

    #[test]
    fn the_embedded_file_equals_the_code_and_comments_every_key() {
        assert_eq!(toml::from_str::<Config>(DEFAULT).unwrap(), Config::default());
        let lines: Vec<_> = DEFAULT.lines().collect();
        for pair in lines.windows(2) {
            let key = pair[1].contains(" = ") && !pair[1].starts_with('#');
            assert!(!key || pair[0].starts_with("# "), "no comment on {}", pair[1]);
        }
    }

    #[test]
    fn later_layers_win_and_are_named() {
        let files = [
            ("darwind.toml", "[registry]\ngroup = 1\nflush_ms = 1\nqueue = 300\n"),
            ("config.d/20.toml", "[registry]\ngroup = 3"),
            ("config.d/10.toml", "[registry]\ngroup = 2\nflush_ms = 2"),
            ("config.d/README", "not read"),
        ];
        let env = [("DARWIN_REGISTRY__QUEUE", "500"), ("DARWIN_HOME", "/x"), ("HOME", "/y")];
        let loaded = load(&files, &env).unwrap();
        let registry = &loaded.config.registry;
        assert_eq!((registry.group, registry.flush_ms, registry.queue), (3, 2, 500));
        let rows = loaded.values();
        let origin = |key: &str| rows.iter().find(|row| row.0 == key).unwrap().2.to_string();
        assert!(origin("registry.group").ends_with("20.toml"));
        assert!(origin("registry.flush_ms").ends_with("10.toml"));
        assert_eq!(origin("registry.queue"), "DARWIN_REGISTRY__QUEUE");
        assert_eq!(origin("server.listen"), "default");
        assert_eq!(rows[0].0, "server.listen");
    }

    #[test]
    fn mistakes_name_their_place_and_the_way_out() {
        let fault = |text: &str| load(&[("darwind.toml", text)], &[]).unwrap_err().to_string();
        for (text, part) in [
            ("[server]\nlistem = \"\"", "no key “server.listem”; did you mean “listen”?"),
            ("[sever]", "no section “sever”; did you mean “server”?"),
            ("[registry]\ngroup = \"many\"", "registry.group: invalid type"),
            ("[registry]\ngroup = 0", "registry.group: 0 is out of bounds"),
            ("[server]\nlisten = \"here\"", "server.listen: invalid socket address"),
            ("[store]\nwarm = \"oracle:\"", "store.warm: “oracle:” is no store"),
            ("[store]\nhot = \"valkey://x\"", "give “memory:”, “rediss:”"),
            ("a = [", "darwind.toml: line 1"),
            ("server = 1", "write [server]"),
        ] {
            let fault = fault(text);
            assert!(fault.contains(part) && fault.contains("darwind.toml"), "{fault}");
        }
        let fault = load(&[], &[("DARWIN_SERVER__LISTEM", "x")]).unwrap_err().to_string();
        assert!(fault.starts_with("DARWIN_SERVER__LISTEM: "), "{fault}");
        let fault = load(&[], &[("DARWIN_REGISTRY__GROUP", "x")]).unwrap_err().to_string();
        assert!(fault.contains("not of type integer"), "{fault}");
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let named = Some(PathBuf::from("/nowhere/darwind.toml"));
        let fault = Loaded::load(&sources(Path::new("/x"), named, Vec::new())).unwrap_err();
        assert!(fault.to_string().contains("cannot be read"));
    }
}
