//! restante admin
