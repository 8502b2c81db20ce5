//! What of an agent is laid in a sandbox: its files, its parameters, what was built of it.

use std::{collections::BTreeSet, io};

use bytes::Bytes;
use serde_json::{Map, Value as Json};

use super::{
    frame,
    plan::{Item, Job, Request},
};
use crate::domain::genome::{File, Genome, PARAMS_FILE, Space, Value};

/// The files of an agent, as a sandbox gets them.
#[derive(Debug, Clone, Default)]
pub struct Laying {
    items: Vec<Item>,
    contents: Vec<Bytes>,
}

impl Laying {
    /// The files of `genome`, and its parameters as the file that programs read.
    #[must_use]
    pub fn of(genome: &Genome, space: &Space) -> Self {
        let params = params(genome, space);
        let mut laying = Self::default();
        let own = genome.files.iter().map(|(path, file)| (path.as_str(), file));
        // Ours takes the place of one of that name.
        let own = own.filter(|(path, _)| params.is_none() || *path != PARAMS_FILE);
        for (path, file) in own.chain(params.as_ref().map(|file| (PARAMS_FILE, file))) {
            laying.push(path.to_owned(), file.executable, file.bytes.clone());
        }
        laying
    }

    /// Adds files; each takes the place of one of its name.
    pub fn add(&mut self, files: Vec<(Item, Bytes)>) {
        let new: BTreeSet<_> = files.iter().map(|(item, _)| item.path.as_str()).collect();
        let old = self.items.drain(..).zip(self.contents.drain(..));
        let kept = old.filter(|(item, _)| !new.contains(item.path.as_str()));
        (self.items, self.contents) = kept.collect::<Vec<_>>().into_iter().unzip();
        for (item, content) in files {
            self.push(item.path, item.executable, content);
        }
    }

    /// Whether there is a file of that path.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.items.iter().any(|item| item.path == path)
    }

    /// The files with their contents.
    pub fn files(&self) -> impl Iterator<Item = (&Item, &Bytes)> {
        self.items.iter().zip(&self.contents)
    }

    /// A request to do `job` with them; `inputs` go with one that is to be answered.
    ///
    /// # Errors
    /// If it is too large.
    pub fn request(
        &self,
        job: Job,
        argv: &[String],
        program: String,
        seed: u64,
        inputs: &[Vec<u8>],
    ) -> io::Result<Vec<u8>> {
        let request =
            Request { files: self.items.clone(), program, seed, argv: argv.to_vec(), job };
        let files = self.contents.iter().map(|content| &content[..]);
        let blobs: Vec<_> = files.chain(inputs.iter().map(Vec::as_slice)).collect();
        frame::encode(&request, &blobs)
    }

    fn push(&mut self, path: String, executable: bool, content: Bytes) {
        self.items.push(Item { path, size: content.len(), executable });
        self.contents.push(content);
    }
}

/// The parameters as the file that programs read.
fn params(genome: &Genome, space: &Space) -> Option<File> {
    if space.params.is_empty() {
        return None;
    }
    let members = space.params.iter().zip(genome.params.iter()).map(|(param, value)| {
        let value = match param.kind.typed(*value) {
            Value::Real(number) => Json::from(number),
            Value::Integer(number) => Json::from(number),
            Value::Category(name) => Json::from(name),
        };
        (param.name.clone(), value)
    });
    let text = Json::Object(members.collect::<Map<_, _>>()).to_string();
    Some(File { bytes: text.into(), executable: false })
}
