//! The daemon: manager, evaluator, registry and session loops in one task tree.
