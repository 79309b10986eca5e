//! What each verb does, once the table has let it through.

mod atrn;
mod auth;
mod bdat;
mod data;
mod etrn;
mod hello;
mod mail;
mod rcpt;
mod small;
mod starttls;
mod turn;
