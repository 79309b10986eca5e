//! restante queue
