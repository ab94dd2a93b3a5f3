  answers[at] = answer
  last = last + count
end
-- Those who wait are told. Of many keys it costs less to ask first where somebody does.
if #ended > 0 then
  local heard = #ended > 1 and pcall('PUBSUB', 'NUMSUB', unpack(ended)) or {err = 'not asked'}
  for at = 1, #ended do
    if heard.err or heard[2 * at] > 0 then
      pcall('PUBLISH', ended[at], '')
    end
  end
end
return answers
