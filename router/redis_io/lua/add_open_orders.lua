-- SPDX-License-Identifier: Apache-2.0
-- Change the count of open orders by a difference, never below 0; execution goes on counting meanwhile.
--
-- KEYS[1] open_orders  string
-- ARGV    difference (whole number, may be negative)
-- Reply   {before or nil, after}; an error when the key holds no count

local before = text_of(KEYS[1])
if before and not string.match(before, '^%d%d?%d?%d?%d?%d?%d?%d?%d?$') then
  return redis.error_reply(KEYS[1] .. ' holds no count')
end
local after = whole(math.min(999999999, math.max(0, (tonumber(before or 0)) + tonumber(ARGV[1]))))
redis.call('SET', KEYS[1], after)
return {before, after}
