//! Pictures of figures and films, as SVG and PNG.
