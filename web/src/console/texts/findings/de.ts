// What the doctor finds, in German.

import type { Findings } from './findings.ts';

export const findings: Findings = {
  'b-frames': {
    title: {
      by: 'mending',
      forms: {
        here: 'Ihr Video enthält B-Frames und wird hier umkodiert',
        other: 'Ihr Video enthält B-Frames',
      },
    },
    detail: {
      by: 'mending',
      forms: {
        here: 'Dieser Server kodiert Ihr Bild neu, damit Ihr Publikum über den schnellsten Weg zusehen kann: WebRTC kann keine B-Frames übertragen. Das kostet etwa {delay_ms} ms Verzögerung, etwas Bildqualität und viel Rechenleistung des Servers.',
        busy: 'Ihr Publikum kann nicht über den schnellsten Weg zusehen: WebRTC kann keine B-Frames übertragen. Es bekommt eine andere Fassung, die eine Sekunde oder mehr hinterherhinkt. Dieser Server kann es nicht umkodieren: Er kodiert schon so viele Übertragungen um, wie er darf.',
        fails:
          'Ihr Publikum kann nicht über den schnellsten Weg zusehen: WebRTC kann keine B-Frames übertragen. Es bekommt eine andere Fassung, die eine Sekunde oder mehr hinterherhinkt. Dieser Server kann es nicht umkodieren: Seine Umkodierung bricht ab.',
        slow: 'Ihr Publikum kann nicht über den schnellsten Weg zusehen: WebRTC kann keine B-Frames übertragen. Es bekommt eine andere Fassung, die eine Sekunde oder mehr hinterherhinkt. Dieser Server kann es nicht umkodieren: Er ist zu langsam dafür.',
        other:
          'Ihr Publikum kann nicht über den schnellsten Weg zusehen: WebRTC kann keine B-Frames übertragen. Es bekommt eine andere Fassung, die eine Sekunde oder mehr hinterherhinkt.',
      },
    },
    remedy:
      'In OBS: unter Einstellungen › Ausgabe den Ausgabemodus „Erweitert“ wählen und B-Frames auf 0 stellen; x264 zeigt das nicht an, dort bei „Feinabstimmung“ (Tune) zerolatency wählen. Dann den Stream beenden und neu starten. In ffmpeg: -bf 0.',
  },
  'keyframes-far': {
    title: 'Ihre Keyframes kommen nur alle {seconds} Sekunden',
    detail:
      'Wer dazukommt oder zurückspult, wartet länger auf das erste Bild. Geht unterwegs ein Stück des Bildes verloren, bleibt es bis zu so lange gestört.',
    remedy:
      'In OBS: unter Einstellungen › Ausgabe den Ausgabemodus „Erweitert“ wählen und das Keyframeintervall auf 2 s stellen. Dann den Stream beenden und neu starten. In ffmpeg, bei 30 Bildern pro Sekunde: -g 60.',
  },
  'keyframes-irregular': {
    title:
      'Ihre Keyframes kommen ungleichmäßig, alle {shortest_seconds} bis {longest_seconds} Sekunden',
    detail:
      'Jeder zusätzliche Keyframe ist ein Schwall Daten, bei dem das Bild auf langsamen Leitungen ruckelt. Wer über HTTP zusieht, sieht die Kommentare womöglich zu spät.',
    remedy:
      'In OBS: unter Einstellungen › Ausgabe den Ausgabemodus „Erweitert“ wählen und das Keyframeintervall auf 2 s stellen; bei x264 unter „x264-Optionen“ scenecut=0 eintragen. Dann den Stream beenden und neu starten. In ffmpeg, bei 30 Bildern pro Sekunde: -g 60 -sc_threshold 0.',
  },
  'frame-rate-drop': {
    title: 'Ihr Video ist von {usual_fps} auf {fps} Bilder pro Sekunde gefallen',
    detail: 'Das Bild ruckelt; was Sie sagen, läuft weiter.',
    remedy:
      'Ihr Rechner hat zu viel zu tun. Schließen Sie andere Programme. In OBS: sehen Sie unter Ansicht › Statistiken nach; wählen Sie unter Einstellungen › Video eine kleinere Ausgabe-Auflösung (skaliert) oder 30 FPS und unter Einstellungen › Ausgabe einen Hardware-Encoder oder bei x264 die CPU-Voreinstellung ultrafast. In ffmpeg: -preset ultrafast oder ein kleineres -s.',
  },
  'bitrate-drop': {
    title: 'Ihr Video ist von {usual_kbps} auf {kbps} kbit/s gefallen',
    detail: 'Das Bild ist unscharf oder voller Klötzchen; kleine Schrift ist nicht zu lesen.',
    remedy:
      'Ihre Internetverbindung ist für das, was Sie senden, zu langsam geworden. Nehmen Sie ein Kabel statt WLAN und halten Sie andere Uploads an. In OBS: stellen Sie unter Einstellungen › Ausgabe eine Bitrate ein, die Ihre Leitung dauerhaft schafft. In ffmpeg: kleinere Werte für -b:v und -maxrate.',
  },
  'video-missing': {
    title: 'Es gibt kein Bild, nur Ton',
    detail: 'Ihr Publikum hört Sie und sieht nichts.',
    remedy:
      'Falls Sie ein Bild senden wollten: sehen Sie in OBS nach, ob die Vorschau eines zeigt, dann den Stream beenden und neu starten. In ffmpeg: eine Videoquelle angeben, und kein -vn.',
  },
  'video-stopped': {
    title: 'Das Bild ist stehen geblieben',
    detail: 'Ihr Publikum hört Sie und sieht ein stehendes Bild, oder der Player wartet.',
    remedy:
      'In OBS: sehen Sie nach, ob sich die Vorschau noch bewegt, dann den Stream beenden und neu starten; kommt es wieder, wählen Sie unter Einstellungen › Ausgabe einen anderen Videoencoder. In ffmpeg: lesen Sie, was es über seine Videoquelle sagt.',
  },
  'audio-missing': {
    title: 'Es gibt keinen Ton, nur ein Bild',
    detail: 'Ihr Publikum sieht Sie und hört nichts.',
    remedy:
      'In OBS: wählen Sie unter Einstellungen › Audio Ihr Mikrofon bei „Mikrofon-/AUX-Audio“. In ffmpeg: eine Tonquelle und -c:a aac angeben, und kein -an.',
  },
  'audio-stopped': {
    title: 'Der Ton ist weg',
    detail: 'Ihr Publikum sieht Sie und hört nichts mehr, oder der Player wartet.',
    remedy:
      'In OBS: sehen Sie nach, ob Ihr Mikrofon noch angeschlossen ist und sein Balken im Audiomixer ausschlägt, dann den Stream beenden und neu starten. In ffmpeg: lesen Sie, was es über seine Tonquelle sagt.',
  },
  'nothing-arrives': {
    title: 'Von Ihrem Encoder kommt nichts an',
    detail: 'Das Bild steht, und es ist nichts zu hören.',
    remedy:
      'Prüfen Sie Ihre Internetverbindung. In OBS: ist das Kästchen am unteren Fensterrand rot, den Stream beenden und neu starten. In ffmpeg: sehen Sie nach, ob es noch Bilder zählt, und starten Sie es neu.',
  },
  'audio-silent': {
    title: 'Ihr Ton ist stumm',
    detail: 'Ihr Publikum hört gar nichts, nicht einmal den Raum.',
    remedy:
      'Prüfen Sie, ob Ihr Mikrofon eingeschaltet ist. In OBS: im Audiomixer muss sein Balken ausschlagen, wenn Sie sprechen, und der Lautsprecher daneben darf nicht rot sein (stumm); wählen Sie unter Einstellungen › Audio das richtige Mikrofon. In ffmpeg: prüfen Sie die Tonquelle.',
  },
  'audio-clipping': {
    title: 'Ihr Ton ist zu laut und verzerrt',
    detail: 'Ihr Publikum hört ein Knistern und eine scharfe Stimme.',
    remedy:
      'Stellen Sie das Mikrofon dort leiser, wo es in den Rechner kommt (am Mikrofon oder Mischpult, oder in den Einstellungen des Systems). In OBS: ziehen Sie den Regler im Audiomixer nach links, bis der Balken beim Sprechen nicht mehr ins Rote reicht. In ffmpeg: -af volume=-10dB, sofern der Ton nicht schon vorher verzerrt ist.',
  },
  'audio-drift': {
    title: 'Die Uhr Ihres Tons geht um {percent} % falsch',
    detail:
      'Immer wieder gibt es kleine Lücken oder Schnitte im Ton, und Lippen und Stimme laufen für Momente auseinander.',
    remedy:
      'Stellen Sie überall dieselbe Abtastrate ein, am besten 48 kHz: beim Mikrofon in den Einstellungen des Systems und in OBS unter Einstellungen › Audio; dann den Stream beenden und neu starten. In ffmpeg: -af aresample=async=1000, und kein Filter, der nur die Zeiten des Tons verändert.',
  },
  'av-apart': {
    title: {
      by: 'late',
      forms: {
        sound: 'Ihr Ton kommt {seconds} s zu spät an',
        picture: 'Ihr Bild kommt {seconds} s zu spät an',
        other: 'Ton und Bild kommen {seconds} s auseinander an',
      },
    },
    detail:
      'Der Player wartet darauf: Ihr Publikum ist um so viel weiter hinter Ihnen, oder Lippen und Stimme passen nicht zusammen.',
    remedy:
      'In OBS: unter Bearbeiten › Erweiterte Audioeigenschaften den Sync-Versatz auf 0 stellen und für das Mikrofon und unter Einstellungen › Audio dieselbe Abtastrate, am besten 48 kHz; dann den Stream beenden und neu starten. In ffmpeg: kein -itsoffset, und -thread_queue_size 512 vor jeder Live-Quelle.',
  },
  'clock-jump': {
    title: {
      by: 'jumps',
      forms: {
        one: 'Die Uhr Ihres Encoders ist gesprungen',
        other: 'Die Uhr Ihres Encoders ist {jumps} Mal gesprungen',
      },
    },
    detail:
      'Das Bild stand einen Moment, oder etwas fehlte; seither passen Lippen und Stimme vielleicht nicht mehr zusammen.',
    remedy:
      'In OBS: den Stream beenden und neu starten; kommt es wieder, OBS schließen und neu öffnen. In ffmpeg: neu codieren statt -c copy, wenn es eine Datei ist, die von vorn beginnt, oder ein fremder Stream; oder -fflags +genpts vor die Quelle setzen.',
  },
  'arrival-jitter': {
    title: 'Ihr Stream kommt stoßweise an, bis zu {seconds} s zu spät',
    detail:
      'Das Bild bleibt stehen und holt dann auf; zur Sicherheit halten die Player mehr Abstand zum Live-Geschehen.',
    remedy:
      'Nehmen Sie ein Kabel statt WLAN und halten Sie andere Uploads an. In OBS: unter Einstellungen › Ausgabe eine niedrigere Bitrate einstellen und unter Einstellungen › Erweitert die dynamische Anpassung der Bitrate bei Überlastung einschalten. In ffmpeg: -maxrate gleich -b:v, und -bufsize halb so groß.',
  },
  'encoder-slow': {
    title: 'Ihr Stream fällt immer weiter zurück',
    detail: 'Ihr Publikum sieht Sie immer später, und hin und wieder springt das Bild.',
    remedy:
      'Ihr Rechner oder Ihre Internetverbindung ist für das, was Sie senden, zu langsam. In OBS: sehen Sie unter Ansicht › Statistiken nach. Gehen Bilder beim Codieren verloren, wählen Sie unter Einstellungen › Ausgabe einen Hardware-Encoder oder bei x264 die CPU-Voreinstellung ultrafast; gehen sie im Netz verloren, stellen Sie dort eine niedrigere Bitrate ein und nehmen Sie ein Kabel statt WLAN. In ffmpeg: -preset ultrafast, oder kleinere -s und -b:v, bis es speed=1x sagt.',
  },
  'encoder-fast': {
    title: 'Ihr Stream läuft schneller als die Zeit',
    detail: 'Das Bild ruckelt, und die Verbindung wird getrennt, wenn er zu weit voraus ist.',
    remedy:
      'In OBS: den Stream beenden und neu starten; kommt es wieder, für das Mikrofon und unter Einstellungen › Audio dieselbe Abtastrate einstellen, am besten 48 kHz. In ffmpeg: -re vor die Quelle setzen, wenn sie eine Datei ist.',
  },
  'video-profile': {
    title: 'Das H.264-Profil Ihres Videos, {profile}, lässt sich nicht überall abspielen',
    detail:
      'Die meisten hören Sie und sehen nichts: Browser und Telefone können nur die Profile Baseline, Main und High.',
    remedy:
      'In OBS: unter Einstellungen › Ausgabe den Ausgabemodus „Erweitert“ wählen und als Profil high; unter Einstellungen › Erweitert das Farbformat NV12. Dann den Stream beenden und neu starten. In ffmpeg: -pix_fmt yuv420p -profile:v high.',
  },
  'video-interlaced': {
    title: 'Ihr Video besteht aus Halbbildern (interlaced)',
    detail:
      'Manche sehen Kämme an den Rändern von allem, was sich bewegt, andere gar kein Bild: Browser und Telefone sind für ganze Bilder gemacht.',
    remedy:
      'Stellen Sie Kamera oder Aufnahmegerät auf ein progressives Format, etwa 1080p statt 1080i. In OBS: Rechtsklick auf die Quelle, Deinterlacing › Yadif. In ffmpeg: -vf yadif, und kein -flags +ilme+ildct. An einem Hardware-Encoder: auf progressiv stellen.',
  },
  'video-beyond-phones': {
    title: {
      by: 'width',
      forms: {
        none: 'Ihr Video hat mit {fps} Bildern pro Sekunde mehr, als Telefone abspielen können',
        other: 'Ihr Bild ist mit {width}x{height} größer, als Telefone abspielen können',
      },
    },
    detail:
      'Telefone und ältere Rechner ruckeln vielleicht, werden heiß oder zeigen gar kein Bild.',
    remedy:
      'In OBS: unter Einstellungen › Video die Ausgabe-Auflösung (skaliert) auf 1920x1080 oder weniger stellen und die FPS auf 30 oder 60. In ffmpeg: -s 1920x1080 -r 30.',
  },
  'audio-he-aac': {
    title: 'Ihr Ton ist als {profile} codiert',
    detail:
      'Über WebRTC klingt er dumpf, wie durch eine Wand, denn dort kommt nur seine untere Hälfte an.',
    remedy:
      'Stellen Sie den Ton des Encoders auf AAC-LC, oft nur AAC genannt, mit 96 kbit/s oder mehr. In OBS: unter Einstellungen › Ausgabe den Ausgabemodus „Erweitert“ wählen und im Reiter Audio eine Bitrate von 128 oder mehr. In ffmpeg: -c:a aac -b:a 128k, ohne -profile:a.',
  },
  'audio-surround': {
    title: 'Ihr Ton hat {channels} Kanäle, was nicht übertragen werden kann',
    detail: 'Ihr Publikum sieht Sie und hört nichts.',
    remedy:
      'In OBS: unter Einstellungen › Audio die Kanäle auf Stereo stellen. Dann den Stream beenden und neu starten. In ffmpeg: -ac 2.',
  },
  'video-refused': {
    title: {
      by: 'codec',
      forms: {
        'H.264': 'Ihr H.264-Video ist so nicht zu verwenden',
        other: 'Ihr Encoder sendet {codec} statt H.264',
      },
    },
    detail: 'Ihr Publikum sieht und hört nichts: der Stream wurde nicht angenommen.',
    remedy:
      'In OBS: unter Einstellungen › Ausgabe den Ausgabemodus „Erweitert“ wählen und einen Videoencoder, der H.264 im Namen hat, oder x264. In ffmpeg: -c:v libx264.',
  },
  'audio-refused': {
    title: 'Ihr Encoder sendet den Ton nicht in AAC-LC ({codec})',
    detail: 'Ihr Publikum sieht und hört nichts: der Stream wurde nicht angenommen.',
    remedy:
      'In OBS: unter Einstellungen › Ausgabe den Ausgabemodus „Erweitert“ wählen und als Audioencoder AAC. In ffmpeg: -c:a aac -ac 2.',
  },
  'encoder-refused': {
    title: 'Ihr Encoder sendet auf eine Weise, die hier nicht verstanden wird',
    detail: 'Ihr Publikum sieht und hört nichts: der Stream wurde nicht angenommen.',
    remedy:
      'Nehmen Sie einfaches RTMP mit H.264 und AAC, ein Bild und einen Ton. In OBS: unter Einstellungen › Stream die Plattform „Benutzerdefiniert“ wählen, Multitrack-Video ausschalten und unter Einstellungen › Ausgabe nur eine Audiospur wählen. In ffmpeg: -f flv, und mit -map je einen Bild- und Tonstrom.',
  },
};
