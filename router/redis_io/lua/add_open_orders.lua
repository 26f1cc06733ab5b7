-- SPDX-License-Identifier: Apache-2.0
-- Change the count of open orders by a difference, never below 0; execution goes on counting meanwhile. What would have
-- more than 9 digits is refused: it would be no count.
--
-- KEYS[1] open_orders  string
-- KEYS[2] settled      hash    {token -> 'before after', before empty when the key was missing} written with a token
-- ARGV    difference (whole number, may be negative), token ('' = none)
-- Reply   {before or nil, after}; an error when a key holds what is not ours
--
-- A token is dealt with once: asked again, since the reply was lost, it gives the same reply and changes nothing.

local wrong = wrong_type({[KEYS[2]] = 'hash'})
if wrong then return redis.error_reply(wrong) end
if ARGV[2] ~= '' then
  local reply = redis.call('HGET', KEYS[2], ARGV[2])
  if reply then
    local before, after = string.match(reply, '^(%d*) (%d+)$')
    return {before ~= '' and before, after}
  end
end
local before = text_of(KEYS[1])
if before and not string.match(before, '^%d%d?%d?%d?%d?%d?%d?%d?%d?$') then
  return redis.error_reply(KEYS[1] .. ' holds no count')
end
local sum = math.max(0, tonumber(before or 0) + tonumber(ARGV[1]))
if sum > 999999999 then
  return redis.error_reply(KEYS[1] .. ' would be above 999999999, the most that is a count: add less')
end
local after = whole(sum)
-- Asked before the first write: a script that is refused half-way is not taken back.
for _, command in ipairs({{'SET', KEYS[1], after}, {'HSET', KEYS[2], ARGV[2], after}}) do
  if not redis.acl_check_cmd(unpack(command)) then
    return redis.error_reply('no right to ' .. command[1] .. ' ' .. command[2])
  end
end
redis.call('SET', KEYS[1], after)
if ARGV[2] ~= '' then redis.call('HSET', KEYS[2], ARGV[2], (before or '') .. ' ' .. after) end
return {before, after}
