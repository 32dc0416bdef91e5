//! Connections to Redis: one server, whichever the Sentinels name, or a cluster.

use std::time::Duration;

use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, Pipeline, ProtocolVersion,
    RedisConnectionInfo, RedisError, RedisResult, TlsCertificates, Value,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClientBuilder,
    cluster_async::ClusterConnection,
    io::tcp::TcpSettings,
};
use tokio::time::timeout;

use super::{
    Trouble,
    settings::{Address, Login, RedisSettings, Servers, Transport},
};

/// How long a connection may take.
const DIAL: Duration = Duration::from_secs(2);

/// How long one of several Sentinels, or what it names, may take.
const DIAL_ONE: Duration = Duration::from_millis(600);

/// A connection, whose clones are the same one.
#[derive(Clone)]
pub(super) enum Connection {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// The answers to a pipeline, one each. An answer that says no is among them.
    pub async fn ask(&self, pipeline: &Pipeline, deadline: Duration) -> Result<Vec<Value>, Trouble> {
        let count = pipeline.len();
        let answers = async {
            match self {
                Self::Server(connection) => connection.clone().req_packed_commands(pipeline, 0, count).await,
                Self::Cluster(connection) => connection.clone().req_packed_commands(pipeline, 0, count).await,
            }
        };
        match timeout(deadline, answers).await {
            Ok(Ok(values)) if values.len() == count => Ok(values),
            Ok(Ok(_)) => Err(Trouble::nonsense()),
            Ok(Err(e)) => Err(Trouble::of(&e)),
            Err(_) => Err(Trouble::slow()),
        }
    }
}

/// Connects for two: one connection to poll with, one to spend with, so that neither waits for the other.
pub(super) async fn dial(settings: &RedisSettings) -> Result<(Connection, Connection), Trouble> {
    timeout(DIAL, dial_any(settings)).await.unwrap_or_else(|_| Err(Trouble::slow()))
}

async fn dial_any(settings: &RedisSettings) -> Result<(Connection, Connection), Trouble> {
    match &settings.servers {
        Servers::One { address, database } => {
            let client = client(settings, address, *database)?;
            Ok((Connection::Server(connect(&client).await?), Connection::Server(connect(&client).await?)))
        }
        Servers::Sentinels { sentinels, master, database } => {
            let mut trouble = Trouble::Lost("no Sentinel is named".into());
            for sentinel in sentinels {
                match timeout(DIAL_ONE, dial_master(settings, sentinel, master, *database)).await {
                    Ok(Ok(dialed)) => return Ok(dialed),
                    Ok(Err(e)) => trouble = e,
                    Err(_) => trouble = Trouble::slow(),
                }
            }
            Err(trouble)
        }
        Servers::Cluster(nodes) => {
            let connection = cluster(settings, nodes).await.map_err(|e| Trouble::of(&e))?;
            Ok((Connection::Cluster(connection.clone()), Connection::Cluster(connection)))
        }
    }
}

/// Connects to the master as one Sentinel sees it, if it sees itself as one too.
async fn dial_master(
    settings: &RedisSettings,
    sentinel: &Address,
    master: &str,
    database: i64,
) -> Result<(Connection, Connection), Trouble> {
    // Sentinels have users and passwords of their own, most often none.
    let anonymous = RedisSettings { login: None, ..settings.clone() };
    let mut asked = connect(&client(&anonymous, sentinel, 0)?).await?;
    let told: Option<(String, u16)> =
        redis::cmd("SENTINEL").arg("get-master-addr-by-name").arg(master).query_async(&mut asked).await?;
    let Some(address) = told else {
        return Err(Trouble::Lost(format!("the Sentinels know no master {master:?}")));
    };
    let client = client(settings, &address, database)?;
    let mut connection = connect(&client).await?;
    let role: Value = redis::cmd("ROLE").query_async(&mut connection).await?;
    match role {
        Value::Array(parts) if matches!(parts.first(), Some(Value::BulkString(role)) if role == b"master") => {
            Ok((Connection::Server(connection), Connection::Server(connect(&client).await?)))
        }
        _ => Err(Trouble::Lost("what the Sentinels call the master is none yet".into())),
    }
}

fn client(settings: &RedisSettings, address: &Address, database: i64) -> Result<Client, Trouble> {
    let info = info(settings, address, database)?;
    let client = match certificates(settings) {
        Some(certificates) => Client::build_with_tls(info, certificates),
        None => Client::open(info),
    };
    Ok(client?)
}

async fn connect(client: &Client) -> Result<MultiplexedConnection, Trouble> {
    // Deadlines are ours: one for the whole of a dial, one for each question.
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(None)
        .set_response_timeout(None)
        .set_pipeline_buffer_size(1_024);
    Ok(client.get_multiplexed_async_connection_with_config(&config).await?)
}

async fn cluster(settings: &RedisSettings, nodes: &[Address]) -> RedisResult<ClusterConnection> {
    let nodes: Vec<ConnectionInfo> = nodes.iter().map(|node| info(settings, node, 0)).collect::<Result<_, _>>()?;
    let mut builder = ClusterClientBuilder::new(nodes)
        .connection_timeout(DIAL_ONE)
        .response_timeout(DIAL)
        .retries(2)
        .use_protocol(ProtocolVersion::RESP2)
        .tcp_settings(TcpSettings::default().set_nodelay(true));
    if let Some(certificates) = certificates(settings) {
        builder = builder.certs(certificates);
    }
    builder.build()?.get_async_connection().await
}

fn certificates(settings: &RedisSettings) -> Option<TlsCertificates> {
    match &settings.transport {
        Transport::Plain => None,
        Transport::Tls => Some(TlsCertificates { client_tls: None, root_cert: None }),
        Transport::TlsWithRoots(roots) => Some(TlsCertificates { client_tls: None, root_cert: Some(roots.clone()) }),
    }
}

fn info(settings: &RedisSettings, (host, port): &Address, database: i64) -> RedisResult<ConnectionInfo> {
    let address = match settings.transport {
        Transport::Plain => ConnectionAddr::Tcp(host.clone(), *port),
        Transport::Tls | Transport::TlsWithRoots(_) => {
            ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None }
        }
    };
    let mut redis =
        RedisConnectionInfo::default().set_db(database).set_protocol(ProtocolVersion::RESP2).set_skip_set_lib_name();
    if let Some(Login { user, password }) = &settings.login {
        // Checked to be text when it was read.
        redis = redis.set_password(std::str::from_utf8(password.expose()).unwrap_or_default());
        if let Some(user) = user {
            redis = redis.set_username(user);
        }
    }
    let tcp = TcpSettings::default().set_nodelay(true);
    Ok(address.into_connection_info()?.set_redis_settings(redis).set_tcp_settings(tcp))
}

impl From<RedisError> for Trouble {
    fn from(error: RedisError) -> Self {
        Self::of(&error)
    }
}

/// The eviction policy, where the server says it.
pub(super) async fn eviction(connection: &Connection) -> Option<String> {
    let mut question = Pipeline::new();
    question.cmd("INFO").arg("memory");
    let answers = match connection {
        Connection::Server(_) => connection.ask(&question, DIAL).await.ok()?,
        // In a cluster it goes to every node.
        Connection::Cluster(cluster) => {
            let mut cluster = cluster.clone();
            vec![timeout(DIAL, redis::cmd("INFO").arg("memory").query_async(&mut cluster)).await.ok()?.ok()?]
        }
    };
    let mut policies = Vec::new();
    answers.iter().for_each(|answer| policies_of(answer, &mut policies));
    policies.into_iter().find(|policy| policy != "noeviction")
}

fn policies_of(answer: &Value, policies: &mut Vec<String>) {
    match answer {
        Value::BulkString(text) => {
            let text = String::from_utf8_lossy(text);
            policies.extend(text.lines().filter_map(|line| line.strip_prefix("maxmemory_policy:")).map(str::to_owned));
        }
        Value::Map(nodes) => nodes.iter().for_each(|(_, answer)| policies_of(answer, policies)),
        Value::Array(nodes) => nodes.iter().for_each(|answer| policies_of(answer, policies)),
        _ => {}
    }
}
