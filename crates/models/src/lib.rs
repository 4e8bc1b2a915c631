//! Networks as graphs, their heads and parts, and their weights in and out.
