//! Durable formats: manifests, journal entries, sealed blocks, CAR files, and their checks.
