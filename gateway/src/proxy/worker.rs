//! One worker thread: its runtime, its pool, its clock, and the sweep over its connections.

use super::{
    activity::{Activity, Clock, Order, Phase},
    body::RequestBody,
    lane::Lane,
    listeners::Listeners,
    pressure::Pressure,
    problems::NodeProblems,
    refusals::Refusals,
    rest::{Left, Resting},
    settings::ProxySettings,
};
use crate::{
    control::publish::Published,
    memory,
    routing::{cluster::ClusterName, route::Route},
    telemetry::{Telemetry, requests::Recorder},
    upstream::{
        carrier::Carrier,
        connection::UpstreamConnection,
        lease::PoolKey,
        pool::{Pool, PoolLimits},
        shelves::Shelves,
    },
};
use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use http::HeaderValue;
use std::{
    cell::{Cell, RefCell, RefMut},
    rc::{Rc, Weak},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    runtime,
    sync::{oneshot, watch},
    task,
    time::{MissedTickBehavior, interval, sleep},
};

/// Between two sweeps while memory runs out.
const UNDER_PRESSURE: Duration = Duration::from_millis(100);

/// After so many tasks the kernel is asked who else is ready. That costs less than a hundredth of what they do; who is ready
/// is behind those who were before, and no longer behind those who are again.
const TASKS_BETWEEN_LOOKS: u32 = 16;

/// How far the end of the gateway has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    Serving,
    /// Everything is served; answers ask for the connection to be closed.
    Leaving,
    /// Nothing new is accepted, and connections at rest are closed.
    Closing,
    /// Whatever still lives is cut.
    Cut,
}

/// What a worker thread is given.
#[derive(Debug)]
pub(super) struct WorkerStart {
    pub(super) settings: ProxySettings,
    pub(super) published: Published,
    pub(super) telemetry: Telemetry,
    pub(super) problems: NodeProblems,
    pub(super) pressure: Pressure,
    pub(super) stage: watch::Receiver<Stage>,
    /// Told when every listener of the first snapshot has been tried.
    pub(super) listening: oneshot::Sender<()>,
}

/// What everything on one worker thread shares.
#[derive(Debug)]
pub(crate) struct Worker {
    settings: ProxySettings,
    published: Published,
    telemetry: Telemetry,
    stage: watch::Receiver<Stage>,
    pressure: Pressure,
    clock: Rc<Clock>,
    pool: RefCell<Pool<RequestBody>>,
    shelves: RefCell<Shelves>,
    recorder: RefCell<Recorder>,
    connections: RefCell<HashMap<u64, Rc<Activity>, RandomState>>,
    /// Streams whose clients may let their bodies stand still.
    streams: RefCell<Vec<Weak<Activity>>>,
    next_connection: Cell<u64>,
    operations: RefCell<Operations>,
    refusals: RefCell<Refusals>,
    mirrors_in_flight: Cell<usize>,
    resting: RefCell<Resting>,
    lane: Rc<Lane>,
}

/// The `x-envoy-decorator-operation` of routes of the current generation: it never changes, and building it costs more
/// than finding it.
#[derive(Debug, Default)]
struct Operations {
    generation: u64,
    values: HashMap<usize, (Arc<Route>, HeaderValue), RandomState>,
}

/// Removes a connection from the sweep's list.
#[derive(Debug)]
pub(super) struct Registration {
    worker: Rc<Worker>,
    id: u64,
}

/// Runs a worker until its stage says that it is over. Blocks the thread.
pub(super) fn run(start: WorkerStart) -> std::io::Result<()> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .event_interval(TASKS_BETWEEN_LOOKS)
        .build_local(runtime::LocalOptions::default())?;
    runtime.block_on(async move {
        let WorkerStart { settings, published, telemetry, problems, pressure, stage, listening } = start;
        let worker = Rc::new(Worker::new(settings, published.clone(), telemetry, stage.clone(), pressure));
        let listeners = Listeners::new(Rc::clone(&worker), problems);
        task::spawn_local(Rc::clone(&worker).sweep());
        let lane = Rc::clone(&worker.lane);
        task::spawn_local(async move { lane.run().await });
        worker.follow(published, stage, listeners, listening).await;
    });
    Ok(())
}

impl Worker {
    fn new(
        settings: ProxySettings,
        published: Published,
        telemetry: Telemetry,
        stage: watch::Receiver<Stage>,
        pressure: Pressure,
    ) -> Self {
        let pool = Pool::new(PoolLimits {
            idle_timeout: settings.limits.upstream_idle_timeout,
            idle_per_endpoint: settings.limits.upstream_idle_connections,
        });
        let recorder = telemetry.recorder();
        Self {
            settings,
            published,
            telemetry,
            stage,
            pressure,
            clock: Rc::new(Clock::new()),
            pool: RefCell::new(pool),
            shelves: RefCell::default(),
            recorder: RefCell::new(recorder),
            connections: RefCell::default(),
            streams: RefCell::default(),
            next_connection: Cell::new(0),
            operations: RefCell::default(),
            refusals: RefCell::default(),
            mirrors_in_flight: Cell::new(0),
            resting: RefCell::default(),
            lane: Rc::default(),
        }
    }

    pub(super) fn settings(&self) -> &ProxySettings {
        &self.settings
    }

    pub(super) fn published(&self) -> &Published {
        &self.published
    }

    pub(super) fn telemetry(&self) -> &Telemetry {
        &self.telemetry
    }

    /// Whether memory runs out.
    pub(super) fn pressure(&self) -> &Pressure {
        &self.pressure
    }

    /// Where those wait who have much to do.
    pub(super) const fn lane(&self) -> &Rc<Lane> {
        &self.lane
    }

    pub(super) fn clock(&self) -> &Rc<Clock> {
        &self.clock
    }

    pub(super) fn pool(&self) -> RefMut<'_, Pool<RequestBody>> {
        self.pool.borrow_mut()
    }

    /// Connections of HTTP/2 to endpoints.
    pub(super) fn shelves(&self) -> RefMut<'_, Shelves> {
        self.shelves.borrow_mut()
    }

    pub(super) fn recorder(&self) -> RefMut<'_, Recorder> {
        self.recorder.borrow_mut()
    }

    /// How many copies of requests are on their way.
    pub(super) fn mirrors_in_flight(&self) -> &Cell<usize> {
        &self.mirrors_in_flight
    }

    /// Whether answers are to ask for the end of their connection.
    pub(super) fn is_leaving(&self) -> bool {
        *self.stage.borrow() >= Stage::Leaving
    }

    /// Keeps the connection of `carrier` for the next exchange, if both its sides are through with the last one.
    pub(super) fn give_back(&self, carrier: Carrier<RequestBody>) {
        match carrier {
            Carrier::Http1(connection) => self.keep(connection),
            // The end of the stream is all there is to it.
            Carrier::Http2(_) => {}
        }
    }

    fn keep(&self, connection: Box<UpstreamConnection<RequestBody>>) {
        if connection.is_ready() {
            self.pool.borrow_mut().put(connection, self.clock.now());
        }
    }

    /// Adds a connection to those the sweep looks after, until the returned value is dropped.
    pub(super) fn register(self: &Rc<Self>, activity: &Rc<Activity>) -> Registration {
        let id = self.next_connection.get();
        self.next_connection.set(id + 1);
        self.connections.borrow_mut().insert(id, Rc::clone(activity));
        self.telemetry.connections().downstream.inc();
        Registration { worker: Rc::clone(self), id }
    }

    /// Adds a stream of HTTP/2 to what the sweep looks after, until it ends.
    pub(super) fn watch(&self, stream: &Rc<Activity>) {
        self.streams.borrow_mut().push(Rc::downgrade(stream));
    }

    /// What has been said of clients and endpoints with whom it came to nothing.
    pub(super) fn refusals(&self) -> RefMut<'_, Refusals> {
        self.refusals.borrow_mut()
    }

    /// What `x-envoy-decorator-operation` says for `route` of `generation`, when it goes to `cluster`.
    pub(super) fn operation(&self, generation: u64, route: &Arc<Route>, cluster: &ClusterName) -> Option<HeaderValue> {
        let mut operations = self.operations.borrow_mut();
        if operations.generation != generation {
            *operations = Operations { generation, ..Operations::default() };
        }
        // The entry holds the route, so that its address cannot become another route's.
        let key = Arc::as_ptr(route) as usize;
        if let Some((_, value)) = operations.values.get(&key) {
            return Some(value.clone());
        }
        let value = HeaderValue::try_from(route.operation.text(cluster)).ok()?;
        operations.values.insert(key, (Arc::clone(route), value.clone()));
        Some(value)
    }

    /// Keeps the listeners as the current snapshot says until nothing is left to serve.
    async fn follow(
        &self,
        mut published: Published,
        mut stage: watch::Receiver<Stage>,
        mut listeners: Listeners,
        listening: oneshot::Sender<()>,
    ) {
        let mut listening = Some(listening);
        let mut retry = interval(Duration::from_secs(1));
        retry.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while *stage.borrow_and_update() < Stage::Closing {
            let snapshot = published.snapshot();
            listeners.follow(&snapshot);
            if snapshot.generation > 0
                && let Some(listening) = listening.take()
            {
                // Nobody waits any more when the gateway is already going down.
                let _told = listening.send(());
            }
            tokio::select! {
                going_on = published.changed() => if !going_on {
                    // No more news; what is published stays in force.
                    let _ended = stage.wait_for(|stage| *stage >= Stage::Closing).await.is_ok();
                },
                _ = retry.tick(), if listeners.any_failed() => {}
                _ = stage.changed() => {}
            }
        }
        listeners.close().await;
        let mut poll = interval(Duration::from_millis(20));
        while *stage.borrow_and_update() < Stage::Cut && !self.connections.borrow().is_empty() {
            tokio::select! {
                _ = poll.tick() => {}
                _ = stage.changed() => {}
            }
        }
    }

    /// Ends what has stood still for too long, on both sides of the gateway, again and again.
    async fn sweep(self: Rc<Self>) {
        let limits = &self.settings.limits;
        let shortest = limits
            .handshake_timeout
            .min(limits.head_timeout)
            .min(limits.body_idle_timeout)
            .min(limits.answer_idle_timeout)
            .min(limits.keep_alive_timeout);
        let period = (shortest / 8).clamp(Duration::from_millis(10), Duration::from_millis(500));
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut swept_pool = Instant::now();
        loop {
            let is_pressed = self.pressure.refuses_requests();
            tokio::select! {
                _ = ticks.tick() => {}
                () = sleep(UNDER_PRESSURE), if is_pressed => {}
            }
            let now = Instant::now();
            self.clock.advance_to(now);
            self.sweep_connections();
            if is_pressed {
                // What has been freed since helps only once the kernel has it.
                memory::give_back();
            }
            if now.duration_since(swept_pool) >= Duration::from_secs(1) {
                swept_pool = now;
                self.sweep_pool();
            }
        }
    }

    fn sweep_connections(&self) {
        // A connection at rest is closed, but not before the announce time is over; one that has just been used gets a
        // moment more, because its client may be sending the next request right now, and is told by `connection: close`
        // in the answer. Until the gateway ends it gives back its memory after that moment.
        const REST: Duration = Duration::from_millis(1000);
        let limits = &*self.pressure.patience(&self.settings.limits);
        let closing = *self.stage.borrow() >= Stage::Closing;
        let mut resting = 0;
        for activity in self.connections.borrow().values() {
            if activity.is_overdue(limits) {
                activity.give_order(Order::Expire);
            } else if activity.is_idle_for(REST) {
                if closing {
                    activity.give_order(Order::Close);
                } else if activity.phase() == Phase::Idle && !activity.has_no_streams() {
                    activity.give_order(Order::Rest);
                }
            }
            resting += usize::from(activity.phase() == Phase::Rest);
        }
        self.streams.borrow_mut().retain(|stream| {
            let Some(stream) = stream.upgrade() else { return false };
            if stream.is_overdue(limits) {
                stream.give_order(Order::Expire);
            }
            true
        });
        self.recorder.borrow_mut().resting.set(resting);
        let ended = self.next_connection.get() - self.connections.borrow().len() as u64;
        self.resting.borrow_mut().count(Left { resting, ended });
    }

    fn sweep_pool(&self) {
        let snapshot = self.published.load();
        let wanted: HashSet<PoolKey, RandomState> = snapshot
            .clusters()
            .iter()
            .flat_map(|cluster| {
                let pool = cluster.pool();
                cluster.endpoints().iter().map(move |endpoint| PoolKey { pool, endpoint: endpoint.address })
            })
            .collect();
        let mut pool = self.pool.borrow_mut();
        pool.sweep(self.clock.now(), |key| wanted.contains(key));
        let mut shelves = self.shelves.borrow_mut();
        let idle_timeout = self.settings.limits.upstream_idle_timeout;
        shelves.sweep(self.clock.now(), idle_timeout, |key| wanted.contains(key));
        self.recorder.borrow_mut().upstream_idle.set(pool.len() + shelves.idle());
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.worker.connections.borrow_mut().remove(&self.id);
        self.worker.telemetry.connections().downstream.dec();
    }
}
