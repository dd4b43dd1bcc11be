//! Is the port free? The answer is true for a moment only, and the holder may be our own proxy, which is as it should be: the
//! caller knows, so this is no part of the other checks.

use std::io::ErrorKind;
use std::net::TcpListener;

use super::diagnostic::{Code, Diagnostic};
use super::load::Loaded;
use super::target::listen;

impl Loaded {
    /// The addresses that cannot be listened on now, for one environment or for all.
    pub fn check_ports(&self, env: Option<&str>) -> Vec<Diagnostic> {
        let environments = match self.environments(env) {
            Ok(environments) => environments,
            Err(unknown) => return vec![*unknown],
        };
        let places = environments
            .into_iter()
            .flat_map(|(name, environment)| environment.places().map(move |place| (name, place)));
        places
            .filter_map(|(name, place)| {
                let listen = listen(place.target)?;
                let error = TcpListener::bind(listen).err()?;
                let path = format!("environments.{name}.{}.process.listen", place.key());
                let complain = |message| self.on_value(Code::PortInUse, &path, message);
                Some(match error.kind() {
                    ErrorKind::AddrInUse => complain(format!("port {} is in use", listen.port()))
                        .suggest("stop what listens there, or choose another port".to_owned()),
                    ErrorKind::AddrNotAvailable => {
                        complain(format!("{} is no address of this machine", listen.ip()))
                            .suggest(format!("did you mean `127.0.0.1:{}`?", listen.port()))
                    }
                    ErrorKind::PermissionDenied => complain(format!(
                        "listening on port {} is not allowed for this user",
                        listen.port()
                    ))
                    .suggest("choose a port from 1024".to_owned()),
                    _ => complain(format!("cannot listen on {listen}: {error}")),
                })
            })
            .collect()
    }
}
