//! A DNS server that says what a test tells it, on a UDP port of its own.

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::{Name, RData, Record, RecordType},
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr, UdpSocket},
    str::FromStr as _,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How often the server looks whether it has been dropped.
const TICK: Duration = Duration::from_millis(20);

/// What is said of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// These addresses, for so many seconds.
    Addresses(Vec<IpAddr>, u32),
    /// The name is another one's, which is answered for beside it.
    Alias(&'static str, u32),
    /// SERVFAIL.
    Failure,
    /// Nothing at all.
    Silence,
}

/// The running server. Names it has not been told of do not exist. Dropping it closes the port.
#[derive(Debug)]
pub struct DnsServer {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    stopping: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Zone {
    says: BTreeMap<String, Says>,
    asked: BTreeMap<String, usize>,
}

impl DnsServer {
    /// # Panics
    /// When there is no free port.
    pub fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.set_read_timeout(Some(TICK)).expect("a timeout");
        let address = socket.local_addr().expect("its address");
        let zone: Arc<Mutex<Zone>> = Arc::default();
        let stopping: Arc<AtomicBool> = Arc::default();
        let serving = thread::spawn({
            let (zone, stopping) = (Arc::clone(&zone), Arc::clone(&stopping));
            move || {
                let mut packet = [0; 2048];
                while !stopping.load(Ordering::Relaxed) {
                    let Ok((length, client)) = socket.recv_from(&mut packet) else { continue };
                    if let Some(answer) = packet.get(..length).and_then(|query| answer(query, &mut zone.lock())) {
                        // A client that has gone needs no answer.
                        let _sent = socket.send_to(&answer, client);
                    }
                }
            }
        });
        Self { address, zone, stopping, serving: Some(serving) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the answer for `name`.
    pub fn say(&self, name: &str, says: Says) {
        self.zone.lock().says.insert(name.to_owned(), says);
    }

    /// From now on `name` does not exist.
    pub fn forget(&self, name: &str) {
        self.zone.lock().says.remove(name);
    }

    /// How often the IPv4 addresses of `name` have been asked for.
    pub fn asked(&self, name: &str) -> usize {
        self.zone.lock().asked.get(name).copied().unwrap_or_default()
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(serving) = self.serving.take() {
            let _ended = serving.join();
        }
    }
}

fn answer(query: &[u8], zone: &mut Zone) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    let question = query.queries.first()?.clone();
    let mut answer = query.into_response();
    let name = question.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
    if question.query_type() == RecordType::A {
        *zone.asked.entry(name.clone()).or_default() += 1;
    }
    let mut owner = question.name().clone();
    let mut says = zone.says.get(&name);
    if let Some(Says::Alias(target, ttl)) = says {
        let target_name = Name::from_str(&format!("{target}.")).ok()?;
        answer.add_answer(Record::from_rdata(
            owner,
            *ttl,
            RData::CNAME(hickory_proto::rr::rdata::CNAME(target_name.clone())),
        ));
        owner = target_name;
        says = zone.says.get(*target);
    }
    match says {
        Some(Says::Addresses(addresses, ttl)) => {
            for address in addresses {
                let data = RData::from(*address);
                if data.record_type() == question.query_type() {
                    answer.add_answer(Record::from_rdata(owner.clone(), *ttl, data));
                }
            }
        }
        Some(Says::Failure) => answer.metadata.response_code = ResponseCode::ServFail,
        Some(Says::Silence) => return None,
        Some(Says::Alias(..)) | None => answer.metadata.response_code = ResponseCode::NXDomain,
    }
    answer.to_vec().ok()
}
