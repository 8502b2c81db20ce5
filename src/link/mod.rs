//! The message layer that both sides share: TLS, gRPC and WebSocket connections.
