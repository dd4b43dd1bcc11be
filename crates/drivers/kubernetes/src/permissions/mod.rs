//! What an account may have to be allowed on a cluster: one [table](table) of rights with what each is for, the rights that a target
//! comes to by it, a Role that grants just these, and whether whoever asks has them.

mod ask;
mod rights;
mod role;
mod row;
mod table;

pub use ask::{Checked, Missing};
pub use rights::{Asked, AskedFrom, Purpose, Right, Rights, guessed};
pub use role::{Subject, role};
pub use row::{documented, rows};
