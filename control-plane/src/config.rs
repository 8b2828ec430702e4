//! LiveKit's YAML configuration: read, checked, with its defaults.
