local call, pcall, pack, unpacked = redis.call, redis.pcall, struct.pack, struct.unpack
local byte, sub, find, keys, argv = string.byte, string.sub, string.find, KEYS, ARGV
local never, moment = '\255\255\255\255\255\255\255\255', nil
-- When this is, in microseconds: the same for all that is asked at once.
local function now()
  if not moment then
    local time = call('TIME')
    moment = time[1] * 1000000 + time[2]
  end
  return moment
end
-- What many callers ask at the same time is answered in their order. No key is there twice, so that all may be read
-- before anything is written. What is no text is nothing to `MGET`.
local all = #keys > 1 and call('MGET', unpack(keys)) or {call('GET', keys[1])}
-- The first two arguments, if there are any, are for all keys; then come as many for each.
local count, last = (#argv - 2) / #keys, 2
-- The answers, and the keys of what has ended.
local answers, ended = {}, {}
