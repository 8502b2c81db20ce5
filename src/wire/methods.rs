//! What can be called, as the Protobuf files say it.

/// The files, as a serialized `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// A method of a service.
#[derive(Debug, PartialEq, Eq)]
pub struct Method {
    /// The service's full name.
    pub service: &'static str,
    /// The method's.
    pub name: &'static str,
    /// The full name of the request's message type.
    pub request: &'static str,
    /// And of the answer's.
    pub answer: &'static str,
    /// Whether requests are a stream. Nothing of it runs before the first one is there.
    pub feeds: bool,
    /// Whether answers are a stream.
    pub streams: bool,
    /// Whether it changes something.
    pub writes: bool,
}

/// All methods of gRPC.
pub const METHODS: &[Method] = include!(concat!(env!("OUT_DIR"), "/methods.rs"));

/// What a WebSocket carries: frames of many calls, in both directions.
pub static STREAM: Method = Method {
    service: "darwin.v1.Stream",
    name: "Line",
    request: "darwin.v1.Frames",
    answer: "darwin.v1.Frames",
    feeds: true,
    streams: true,
    writes: false,
};

/// The method that gRPC calls at `path`: `/darwin.v1.Runs/Start`.
#[must_use]
pub fn at(path: &str) -> Option<&'static Method> {
    let (service, name) = path.strip_prefix('/')?.split_once('/')?;
    METHODS.iter().find(|method| method.service == service && method.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_writes_unless_its_file_says_otherwise() {
        let writes: Vec<_> = METHODS.iter().filter(|method| method.writes).collect();
        let names: Vec<_> = writes.iter().map(|it| (&it.service[10..], it.name)).collect();
        let expected = [
            ("Runs", "Start"),
            ("Runs", "Stop"),
            ("Runs", "Kill"),
            ("Runs", "Rollback"),
            ("Runs", "Resume"),
            ("Evaluations", "Evaluate"),
            ("Sessions", "Create"),
            ("Sessions", "Resume"),
            ("Sessions", "Close"),
            ("Sessions", "SetContext"),
            ("Sessions", "Shred"),
            ("Rooms", "Enter"),
            ("Rooms", "Invite"),
            ("Blobs", "Put"),
            ("Operations", "Shutdown"),
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn a_path_names_its_method_whole() {
        let export = at("/darwin.v1.Lineage/Export").unwrap();
        assert_eq!((export.request, export.answer), ("darwin.v1.ExportRequest", "darwin.v1.Chunk"));
        assert!(export.streams && !export.writes);
        for other in ["darwin.v1.Lineage/Export", "/darwin.v1.Lineage/Export/", "/Export", ""] {
            assert_eq!(at(other), None);
        }
    }
}
