//! restante server
