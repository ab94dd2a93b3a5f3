local call, pcall, pack, unpacked = redis.call, redis.pcall, struct.pack, struct.unpack
local byte, sub, find, keys, argv = string.byte, string.sub, string.find, KEYS, ARGV
-- The keys of what has ended.
local ended = {}
local never, moment = '\255\255\255\255\255\255\255\255', nil
-- When this is, in microseconds: the same for all that is asked at once.
local function now()
  if not moment then
    local time = call('TIME')
    moment = time[1] * 1000000 + time[2]
  end
  return moment
end
