//! The media plane that this control plane starts itself.
