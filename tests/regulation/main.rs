//! The regulations that ship: held against the rows of the sources, and against a second table of who may know what.

mod cities;
mod matrix;
