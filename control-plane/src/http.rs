//! The HTTP surface: routes, CORS, limits.
