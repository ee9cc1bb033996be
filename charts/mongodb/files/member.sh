# shellcheck shell=bash
# Succeeds where the server of this machine is primary or secondary of its set: not while it has no set, catches up or goes
# back. It asks `hello`, which needs no login, by a message as MongoDB's wire protocol has it (OP_MSG): a shell of the
# database would cost a second of CPU for each answer.
set -euo pipefail
exec 3<>"/dev/tcp/localhost/${PORT:-27017}"
printf '\x34\0\0\0\1\0\0\0\0\0\0\0\xdd\x07\0\0\0\0\0\0\0\x1f\0\0\0\x10hello\0\1\0\0\0\x02$db\0\x06\0\0\0admin\0\0' >&3
length=$(head -c 4 <&3 | od -An -tu4)
head -c $((length - 4)) <&3 | LC_ALL=C grep -qaP '\x08(isWritablePrimary|secondary)\x00\x01'
