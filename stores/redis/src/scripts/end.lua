-- What many callers ask at the same time is answered in their order. No key is there twice, so that all may be read
-- before anything is written. What is no text is nothing to `MGET`.
local found = #keys > 1 and call('MGET', unpack(keys)) or {call('GET', keys[1])}
-- The first two arguments, if there are any, are for all keys; then come as many for each.
local answers, count, last = {}, (#argv - 2) / #keys, 2
for at = 1, #keys do
  answers[at] = each(keys[at], found[at], last)
  last = last + count
end
-- Those who wait are told. Of many keys it costs less to ask first where somebody does.
local heard = #ended > 1 and pcall('PUBSUB', 'NUMSUB', unpack(ended)) or {err = 'not asked'}
for at = 1, #ended do
  if heard.err or heard[2 * at] > 0 then
    pcall('PUBLISH', ended[at], '')
  end
end
return answers
