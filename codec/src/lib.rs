//! Networks and pipeline.
