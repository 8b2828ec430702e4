//! A seeded world around the engine, with oracles.
