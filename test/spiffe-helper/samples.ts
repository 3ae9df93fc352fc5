// The configurations in the repository of spiffe-helper v0.11.0 (Apache-2.0), by where they lie there, as they are there.

/** Those that it starts with. */
export const samples: Readonly<Record<string, string>> = {
  'helper.conf': `agent_address = "/tmp/spire-agent/public/api.sock"
cmd = ""
cmd_args = ""
cert_dir = "certs"
renew_signal = "SIGUSR1"
svid_file_name = "svid.pem"
svid_key_file_name = "svid_key.pem"
svid_bundle_file_name = "svid_bundle.pem"
# Add CA with intermediates into Bundle file instead of SVID file,
# it is the expected behavior in some scenarios like MySQL.
# Default: false
# add_intermediates_to_bundle = false
`,
  'helper_envoy.conf': `agent_address = "/tmp/spire-agent/public/api.sock"
cmd = "hot-restarter.py"
cmd_args = "start_envoy.sh"
cert_dir = "certs"
renew_signal = "SIGHUP"
svid_file_name = "svid.pem"
svid_key_file_name = "svid_key.pem"
svid_bundle_file_name = "svid_bundle.pem"
`,
  'helper_ghostunnel.conf': `agent_address = "/tmp/spire-agent/public/api.sock"
cmd = "ghostunnel"
cmd_args = "server --listen localhost:8002 --target localhost:8001 --keystore certs/svid_key.pem --cacert certs/svid_bundle.pem --allow-uri-san spiffe://example.org/Database"
cert_dir = "certs"
renew_signal = "SIGUSR1"
svid_file_name = "svid.pem"
svid_key_file_name = "svid_key.pem"
svid_bundle_file_name = "svid_bundle.pem"
`,
  'helper_windows.conf': `agent_address = "spire-agent\\\\public\\\\api"
cmd = ""
cmd_args = ""
cert_dir = "certs"
svid_file_name = "svid.pem"
svid_key_file_name = "svid_key.pem"
svid_bundle_file_name = "svid_bundle.pem"
# Add CA with intermediates into Bundle file instead of SVID file,
# it is the expected behavior in some scenarios like MySQL.
# Default: false
# add_intermediates_to_bundle = false
`,
  'examples/mosquitto/helper.conf': `# SPIRE agent unix socket path
agent_address = "/tmp/spire-agent/public/api.sock"

# psql binary path
cmd = "/usr/sbin/mosquitto"

# Query for configuration reloading
cmd_args = "-c ./examples/mosquitto/mosquitto.conf"

# Directory to store certificates (must match with the ssl settings in postgresql.conf)
cert_dir = "/opt/spire/certs/mosquitto"

# No renew signal is used in this example
renew_signal = "SIGHUP"

# Certificate, key and bundle names must match those configured in mosquitto.conf
svid_file_name = "svid.pem"
svid_key_file_name = "svid.key"
svid_bundle_file_name = "svid_bundle.pem"`,
  'examples/mysql/helper.conf': `# SPIRE agent unix socket path
agent_address = "/tmp/spire-agent/public/api.sock"

# mysql binary path
cmd = "/usr/bin/mysql"

# Query for configuration reloading
cmd_args = "-e \\"ALTER INSTANCE RELOAD TLS;\\""

# No renew signal is used for this example
renew_signal = ""

# Directory where mysql stores the certificates
cert_dir = "/var/lib/mysql"

# Certificate, key and bundle names must match those configured for mysql
svid_file_name = "server-cert.pem"
svid_key_file_name = "server-key.pem"
svid_bundle_file_name = "ca.pem"

# MySQL expect intermediate certificates inside \`svid_bundle_file\` file
# instead of svid_file
add_intermediates_to_bundle = true`,
  'examples/postgresql/helper.conf': `# This configuration file reloads postgresql certificates using
# the pg_reload_conf(). However, there are other ways for configuration
# reloading in postgres:
#
#   In postgres 9.5, only way to reload certificates is to restart:
#
#       /etc/init.d/postgresql restart
#
#   From postgres 10, it is possible to reload by:
#
#       calling service reload:
#        /etc/init.d/postgresql reload
#
#       Using pg_ctl:
#           /usr/lib/postgresql/10/bin/pg_ctl reload -D /etc/postgresql/10/main/
#
#       Reloading with pg_reload_conf():
#           psql -c 'SELECT pg_reload_conf();'
#

# SPIRE agent unix socket path
agent_address = "/tmp/spire-agent/public/api.sock"

# psql binary path
cmd = "/usr/bin/psql"

# Query for configuration reloading
cmd_args = "-p 5432 -c \\"SELECT pg_reload_conf();\\""

# Directory to store certificates (must match with the ssl settings in postgresql.conf)
cert_dir = "/opt/spire/certs/postgresql"

# No renew signal is used in this example
renew_signal = ""

# Certificate, key and bundle names must match those configured in postgresql.conf
svid_file_name = "svid.pem"
svid_key_file_name = "svid.key"
svid_bundle_file_name = "svid_bundle.pem"


`,
  'cmd/spiffe-helper/config/testdata/helper.conf': `agent_address = "/tmp/spire-agent/public/api.sock"
cmd = "hot-restarter.py"
cmd_args = "start_envoy.sh"
cert_dir = "certs"
cert_file_mode = 444
key_file_mode = 444
jwt_bundle_file_mode = 444
jwt_svid_file_mode = 444
renew_signal = "SIGHUP"
svid_file_name = "svid.pem"
svid_key_file_name = "svid_key.pem"
svid_bundle_file_name = "svid_bundle.pem"
jwt_bundle_file_name = "jwt_bundle.json"
jwt_svids = [
  {
    jwt_svid_file_name = "jwt_svid.token"
    jwt_audience = "your-audience"
    jwt_extra_audiences = ["your-extra-audience-1", "your-extra-audience-2"]

  }
]
add_intermediates_to_bundle = true
`,
  '.github/tests/it/client/helper.conf': `agent_address = "/var/run/api.sock"
cmd = "/run/client/assert.sh"
cmd_args = ""
cert_dir = "/run/client/certs/"
renew_signal = "SIGUSR1"
svid_file_name = "svid.crt"
svid_key_file_name = "svid.key"
svid_bundle_file_name = "root.crt"
`,
  '.github/tests/it/go-server/helper.conf': `agent_address = "/var/run/api.sock"
cmd = ""
cmd_args = ""
cert_dir = "/run/go-server/certs/"
renew_signal = "SIGUSR1"
svid_file_name = "svid.crt"
svid_key_file_name = "svid.key"
svid_bundle_file_name = "root.crt"
`,
  '.github/tests/it/mysql/helper.conf': `agent_address = "/var/run/api.sock"
cmd = "mysql"
cmd_args = "-e \\"ALTER INSTANCE RELOAD TLS;\\""
cert_dir = "/var/lib/mysql/"
renew_signal = "SIGUSR1"
svid_file_name = "server-cert.pem"
svid_key_file_name = "server-key.pem"
svid_bundle_file_name = "ca.pem"
add_intermediates_to_bundle = true
`,
  '.github/tests/it/postgres/helper.conf': `agent_address = "/var/run/api.sock"
cmd = "/run/postgresql/reload_certificates.sh"
cmd_args = ""
cert_dir = "/run/postgresql/certs/"
renew_signal = "SIGUSR1"
svid_file_name = "svid.crt"
svid_key_file_name = "svid.key"
svid_bundle_file_name = "root.crt"
`,
  'README.md': `agent_address = "/tmp/spire-agent/public/api.sock"
cmd = "ghostunnel"
cmd_args = "server --listen localhost:8002 --target localhost:8001 --keystore certs/svid_key.pem --cacert certs/svid_bundle.pem --allow-uri-san spiffe://example.org/Database"
cert_dir = "certs"
renew_signal = "SIGUSR1"
svid_file_name = "svid.pem"
svid_key_file_name = "svid_key.pem"
svid_bundle_file_name = "svid_bundle.pem"
jwt_svids = [{jwt_audience="your-audience",jwt_extra_audiences=["your-extra-audience-1", "your-extra-audience-2"], jwt_svid_file_name="jwt_svid.token"}]
jwt_bundle_file_name = "bundle.json"
cert_file_mode = 0444
key_file_mode = 0444
jwt_bundle_file_mode = 0444
jwt_svid_file_mode = 0444
`,
  'README.md, Windows': `agent_address = "spire-agent\\\\public\\\\api"
cert_dir = "certs"
svid_file_name = "svid.pem"
svid_key_file_name = "svid_key.pem"
svid_bundle_file_name = "svid_bundle.pem"
jwt_svids = [{jwt_audience="your-audience",jwt_extra_audiences=["your-extra-audience-1", "your-extra-audience-2"], jwt_svid_file_name="jwt_svid.token"}]
jwt_bundle_file_name = "bundle.json"

`,
  'examples/k8s/helper-no-daemon.yaml': `cmd = ""
cmd_args = ""
cert_dir = ""
renew_signal = ""
svid_file_name = "tls.crt"
svid_key_file_name = "tls.key"
svid_bundle_file_name = "ca.pem"
jwt_bundle_file_name = "cert.jwt"
jwt_svids = [{jwt_audience="test", jwt_svid_file_name="jwt_svid.token"}]
daemon_mode = false
`,
}

/** One of its tests' that it does not start with any more: it has a key that is gone. */
export const outdated = `cmd = "hot-restarter.py"
cmd_args = "start_envoy.sh"
cert_dir = "certs"
renew_signal = "SIGHUP"
svid_file_name = "svid.pem"
svid_key_file_name = "svid_key.pem"
svid_bundle_file_name = "svid_bundle.pem"
timeout = "10s"
add_intermediates_to_bundle = true`
