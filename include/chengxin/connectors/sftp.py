"""A folder on an SFTP server. The server is known by its host key; one that nobody has vouched for is refused."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from chengxin.connections import Connection
from chengxin.connectors.places import PATIENCE, Place
from chengxin.errors import ConfigError, SourceRefusedError, SourceUnreachableError


def place(connection: Connection, path: str) -> Place:
    """A folder on the server that a connection names.

    Raises:
        ConfigError: no host, or a key that cannot be read.
        SourceRefusedError: a login, or a host key, that is not accepted.
        SourceUnreachableError: no answer, or no such folder.
    """
    import paramiko
    from fsspec.implementations.sftp import SFTPFileSystem

    if not connection.host:
        raise ConfigError(
            f"connection {connection.conn_id!r} names no host", where=f"connection {connection.conn_id}",
            remedy="set host (and port, login, and a password or key)",
        )  # fmt: skip
    port = connection.port or 22
    shown = f"sftp://{connection.host}:{port}"
    where = f"{shown} (connection {connection.conn_id})"
    client = paramiko.SSHClient()
    _know_host(client, connection, port)

    class Known(SFTPFileSystem):
        """The library's own takes any host key that is offered."""

        cachable = False

        def _connect(self) -> None:
            self.client = client
            self.client.set_missing_host_key_policy(paramiko.RejectPolicy())
            self.client.connect(self.host, **self.ssh_kwargs)
            self.ftp = self.client.open_sftp()
            self.ftp.get_channel().settimeout(PATIENCE)

    try:
        fs = Known(
            connection.host,
            port=port,
            username=connection.login or None,
            password=connection.password or None,
            pkey=_key(connection),
            look_for_keys=False,
            allow_agent=False,
            timeout=PATIENCE,
            banner_timeout=PATIENCE,
            auth_timeout=PATIENCE,
        )
        root = fs.ftp.normalize(path)
    except paramiko.AuthenticationException:
        client.close()
        raise SourceRefusedError(
            f"connection {connection.conn_id!r} is refused",
            where=where,
            why="login, password or key are not accepted",
            remedy="check them in the connection, and that the account is still open",
        ) from None
    except paramiko.SSHException as error:
        client.close()
        # Both say which key came; neither is a secret, but only the kind helps.
        unknown = isinstance(error, paramiko.BadHostKeyException) or "not found in known_hosts" in str(error)
        if not unknown:
            raise _silent(where, type(error).__name__) from None
        raise SourceRefusedError(
            "the server is not the one we know",
            where=where,
            why="its host key is another one, or none was given to compare it with",
            remedy="ask its operator for the host key by another way; set it as `host_key` in the connection's extra",
        ) from None
    except FileNotFoundError:
        client.close()
        raise SourceUnreachableError(
            "the folder is not there", where=f"{shown}/{path} (connection {connection.conn_id})", why="no such folder",
            remedy="mend `path` in the connection's extra",
        ) from None  # fmt: skip
    except (OSError, EOFError) as error:
        client.close()
        raise _silent(where, getattr(error, "strerror", None) or type(error).__name__) from None
    return Place(
        fs,
        root,
        connection.conn_id,
        f"{shown}{root}",
        failures=(paramiko.SSHException,),
        real=fs.ftp.normalize,
        fresh="wxb",
    )


def _know_host(client: Any, connection: Connection, port: int) -> None:
    import paramiko
    from paramiko.pkey import UnknownKeyType

    given = str(connection.extra.get("host_key") or "").split()
    try:
        if given:
            data = base64.b64decode(given[-1] if len(given) < 3 else given[1])
            kind = data[4 : 4 + int.from_bytes(data[:4], "big")].decode("ascii")
            name = connection.host if port == 22 else f"[{connection.host}]:{port}"
            client.get_host_keys().add(name, kind, paramiko.PKey.from_type_string(kind, data))
        else:
            client.load_system_host_keys(connection.extra.get("known_hosts_file"))
    except (ValueError, OSError, paramiko.SSHException, UnknownKeyType) as error:
        raise ConfigError(
            "the host key cannot be read",
            where=f"connection {connection.conn_id}",
            why=type(error).__name__,
            remedy="set `host_key` as `ssh-keyscan` prints it (`ssh-ed25519 AAAA…`), or `known_hosts_file`",
        ) from None


def _key(connection: Connection) -> Any:
    """The private key that a connection brings, as Airflow's SSH connections name it; None without one."""
    import paramiko

    text, file = connection.extra.get("private_key"), connection.extra.get("key_file")
    words = connection.extra.get("private_key_passphrase") or None
    if not (text or file):
        return None
    try:
        text = text or Path(str(file)).read_text("ascii")
    except (OSError, UnicodeDecodeError):
        text = ""
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(str(text)), password=words)
        except (ValueError, paramiko.SSHException):
            continue
    raise ConfigError(
        "the private key cannot be read",
        where=f"connection {connection.conn_id}",
        remedy="set `key_file` or `private_key` (and `private_key_passphrase`) in the connection's extra",
    )


def _silent(where: str, why: str) -> SourceUnreachableError:
    return SourceUnreachableError(
        "the server does not answer",
        where=where,
        why=why,
        remedy="ask its operator, or check host and port of the connection; the next run tries again",
    )
