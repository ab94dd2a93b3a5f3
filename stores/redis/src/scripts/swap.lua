-- What was found is still there, and not long ago: it is replaced. Anything else is returned as it is, and when.
-- For all keys: what is replaced, the `head` or the `whole`, or whether it is `gone`; the retention in milliseconds (0: for
-- ever). For each: `before` is the head that was found (empty: nothing), `after` what comes in its place, `tell` is `1` where
-- those who wait are told; until when, in microseconds.
local what, retention, now = argv[1], argv[2], now()
-- Each:
  local before, after, tell = argv[last + 1], argv[last + 2], argv[last + 3]
  found = found or call('GET', key)
  if sub(found or '', 1, 142) == before and now <= tonumber(argv[last + 4]) then
    if what == 'gone' then
      call('DEL', key)
    else
      if what == 'head' then
        after = after .. sub(found, 143)
      end
      if retention == '0' then
        call('SET', key, after)
      else
        call('SET', key, after, 'PX', retention)
      end
    end
    if tell == '1' then
      ended[#ended + 1] = key
    end
    answer = now
  else
    answer = {found, now}
  end
