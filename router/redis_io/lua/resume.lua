-- SPDX-License-Identifier: Apache-2.0
-- End our own halt, and count repeats anew. The desk's kill switch is only read.
--
-- KEYS[1] halt     hash    deleted
-- KEYS[2] repeats  zset    deleted
-- KEYS[3] kill     string  read
-- KEYS[4] audit    stream  written when there is an audit
-- ARGV    who, entries that the audit keeps ('' = no audit)
-- Reply   {1 when it was halted or 0, reason, who and when of that halt, trading state now}

local halted = redis.pcall('HMGET', KEYS[1], 'reason', 'who', 'when')
local was_halted = redis.call('DEL', KEYS[1])
redis.call('DEL', KEYS[2])
if ARGV[2] ~= '' and was_halted == 1 then
  -- An audit that cannot be written is told by the next commit; it must not keep a person from this.
  redis.pcall('XADD', KEYS[4], 'MAXLEN', '~', ARGV[2], '*', 'event', 'RESUME', 'reason', halted[1] or '', 'who', ARGV[1])
end
return {was_halted, halted[1] or '', halted[2] or '', halted[3] or '', (trading_state(KEYS[3], KEYS[1]))}
