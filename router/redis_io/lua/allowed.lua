-- SPDX-License-Identifier: Apache-2.0
-- Say which commands the current user may not send; nothing is executed (Redis 7.0: redis.acl_check_cmd).
--
-- ARGV[1] MessagePack list of commands, each a list of words
-- Reply   places (from 1) of those that are not allowed

local denied = {}
for place, command in ipairs(cmsgpack.unpack(ARGV[1])) do
  if not redis.acl_check_cmd(unpack(command)) then denied[#denied + 1] = place end
end
return denied
