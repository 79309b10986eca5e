"""The configurations, as alike as the servers allow: everything by default that touches durability."""

from pathlib import Path


def restante(server):
    domains = "".join(
        f'[[domain]]\nname = "{name}"\nprimary = "[{server.sink[0]}]:{server.sink[1]}"\n' for name in server.domains
    )
    return (
        f'hostname = "{server.hostname}"\ndata-dir = "{server.dir}/data"\n'
        f'[[listen]]\naddress = "{server.address}:{server.port}"\ntls = "none"\n'
        f'[admin]\nsocket = "{server.dir}/run/admin.sock"\n'
        f"[limits]\nconnections-per-client = 2000\n[events]\nmail = false\n"
        f'[domain-defaults]\netrn-from = ["any"]\netrn-interval = "0s"\n{domains}'
    )


def postfix(server):
    relay = f"relay:[{server.sink[0]}]:{server.sink[1]}"
    server.write("etc/relay_domains", "".join(f"{name} OK\n" for name in server.domains))
    server.write("etc/transport", "".join(f"{name} {relay}\n" for name in server.domains))
    server.write("etc/main.cf", POSTFIX.replace("DIRECTORY", server.dir))
    server.write("etc/master.cf", f"{server.address}:{server.port} inet n - n - - smtpd\n{POSTFIX_SERVICES}")


POSTFIX = """compatibility_level = 3.6
config_directory = DIRECTORY/etc
queue_directory = DIRECTORY/queue
data_directory = DIRECTORY/data
maillog_file = DIRECTORY/maillog
maillog_file_prefixes = DIRECTORY
multi_instance_name = postfix-bench
multi_instance_enable = yes
alias_maps =
alias_database =
local_recipient_maps =
mydestination =
myhostname = mx2.lab.test
mynetworks = 127.0.0.0/8
inet_interfaces = all
inet_protocols = ipv4
smtp_host_lookup = native
disable_dns_lookups = yes
master_service_disable =
relay_domains = texthash:DIRECTORY/etc/relay_domains
transport_maps = texthash:DIRECTORY/etc/transport
relay_recipient_maps =
defer_transports = relay
fast_flush_domains = $relay_domains
smtpd_etrn_restrictions = permit
smtpd_relay_restrictions = reject_unauth_destination
smtpd_recipient_restrictions =
maximal_queue_lifetime = 30d
in_flow_delay = 0
message_size_limit = 60000000
smtpd_tls_security_level = none
smtpd_client_connection_count_limit = 0
default_process_limit = 100
"""

# The services that the tests run it with.
POSTFIX_SERVICES = (Path(__file__).parents[2] / "src" / "postfix.services").read_text()


def exim(server):
    for name in ("spool", "logs"):
        server.write(f"{name}/.keep", "")
    server.write("domains", "".join(f"{name}: x\n" for name in server.domains))
    text = EXIM.replace("DIRECTORY", server.dir).replace("PORT", str(server.port)).replace("ADDRESS", server.address)
    text = text.replace("DOMAINS", ":".join(server.domains)).replace("SINK_HOST", server.sink[0])
    server.write("exim.conf", text.replace("SINK_NUMBER", str(server.sink[1])))


EXIM = r"""exim_path = /usr/sbin/exim4
spool_directory = DIRECTORY/spool
log_file_path = DIRECTORY/logs/%slog
pid_file_path = DIRECTORY/pid
primary_hostname = mx2.lab.test
local_interfaces = ADDRESS
daemon_smtp_ports = PORT
tls_advertise_hosts =
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 2000
smtp_accept_max_per_host = 2000
smtp_connect_backlog = 1024
smtp_accept_max_per_connection = 0
smtp_accept_queue_per_connection = 0
message_size_limit = 60M
split_spool_directory = true
queue_only = true
remote_max_parallel = 20
never_users =
domainlist relay_to_domains = DOMAINS
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
acl_smtp_etrn = acl_etrn
# $domain is tainted: what the manual shows answers 458, so the value comes out of a lookup.
smtp_etrn_command = /usr/sbin/exim4 -C DIRECTORY/exim.conf -R ${lookup{$domain}lsearch,ret=key{DIRECTORY/domains}}
keep_environment =
begin acl
acl_rcpt:
  accept domains = +relay_to_domains
  deny message = relay not permitted
acl_data:
  accept
acl_etrn:
  accept
begin routers
to_primary:
  driver = manualroute
  domains = +relay_to_domains
  transport = remote_smtp
  route_list = * SINK_HOST
  self = send
  host_find_failed = defer
begin transports
remote_smtp:
  driver = smtp
  port = SINK_NUMBER
  allow_localhost
  hosts_try_fastopen =
  connection_max_messages = 500
begin retry
* * F,2h,15m; G,16h,1h,1.5; F,30d,6h
begin rewrite
begin authenticators
"""


def sendmail(server):
    server.write("relay-domains", "".join(f"{name}\n" for name in server.domains))
    for name in ("local-host-names", "trusted-users", "queue/.keep"):
        server.write(name, "")
    server.write("service.switch", "hosts files\naliases files\npasswd files\n")
    values = {
        "confCF_VERSION": "lab",
        "QUEUE_DIR": f"{server.dir}/queue",
        "confPID_FILE": f"{server.dir}/pid",
        "STATUS_FILE": f"{server.dir}/statistics",
        "HELP_FILE": f"{server.dir}/helpfile",
        "confCW_FILE": f"{server.dir}/local-host-names",
        "confCR_FILE": f"{server.dir}/relay-domains",
        "confCT_FILE": f"{server.dir}/trusted-users",
        "ALIAS_FILE": "",
        "confSERVICE_SWITCH_FILE": f"{server.dir}/service.switch",
        "confDOMAIN_NAME": "mx2.lab.test",
        "confDELIVERY_MODE": "queueonly",
        "confDONT_BLAME_SENDMAIL": "GroupWritableDirPathSafe,ClassFileInUnsafeDirPath,MapInUnsafeDirPath,WorldWritableAliasFile",
        "confQUEUE_LA": "1000",
        "confREFUSE_LA": "1000",
        "confDELAY_LA": "1000",
        "confTO_IDENT": "0",
        "confPRIVACY_FLAGS": "authwarnings",
        "confTO_QUEUERETURN": "30d",
        "confDEF_USER_ID": "nobody:nogroup",
        "confRUN_AS_USER": "root",
        "confMAX_RUNNERS_PER_QUEUE": "1",
        "RELAY_MAILER_ARGS": f"TCP $h {server.sink[1]}",
        "SMART_HOST": f"relay:[{server.sink[0]}]",
    }
    defines = "".join(f"define(`{key}', `{value}')dnl\n" for key, value in values.items() if key != "SMART_HOST")
    features = "".join(
        f"FEATURE(`{name}')dnl\n"
        for name in ("no_default_msa", "nocanonify", "accept_unresolvable_domains", "accept_unqualified_senders")
    )
    server.write(
        "lab.mc",
        "divert(-1)\ninclude(`/usr/share/sendmail/cf/m4/cf.m4')\ndivert(0)dnl\nVERSIONID(`lab')\nOSTYPE(`linux')dnl\n"
        f"DOMAIN(`generic')dnl\n{defines}{features}"
        f"DAEMON_OPTIONS(`Name=MTA, Family=inet, Addr={server.address}, Port={server.port}, Listen=1024')dnl\n"
        f"define(`SMART_HOST', `{values['SMART_HOST']}')dnl\nMAILER(`smtp')dnl\n",
    )
