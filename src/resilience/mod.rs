//! Retry, circuit breaker, deadlines and bounded queues: once, for every caller.
