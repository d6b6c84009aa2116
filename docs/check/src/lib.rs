//! The check that the book builds without warnings, and that all links of the book and of the
//! README files resolve.
//!
//! There is nothing to use here: everything is in the tests.
